-- delete: deletes dead letters for good.
--
-- Called by the API, POST dead/delete.
--
-- KEYS   1 d, 2 h (see accept.lua)
-- ARGV   ids, at most 100
-- Reply  { number of deleted dead letters }; other ids are ignored
-- Errors none of its own

local d, h = KEYS[1], KEYS[2]
local deleted = 0

for _, id in ipairs(ARGV) do
    if redis.call('ZREM', d, id) == 1 then
        redis.call('HDEL', h, id, id .. ':m', id .. ':r')
        deleted = deleted + 1
    end
end

return { deleted }
