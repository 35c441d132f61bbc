-- delete: dead letters that nobody needs any more are gone for good.
--
-- KEYS  1 dead letters ZSET, 2 HASH (see accept.lua and dead.lua)
-- ARGV  ids, at most 100
-- Returns { how many were deleted }; ids that are no dead letters are passed
--       over.

local d, h = KEYS[1], KEYS[2]
local deleted = 0

for _, id in ipairs(ARGV) do
    if redis.call('ZREM', d, id) == 1 then
        redis.call('HDEL', h, id, id .. ':m', id .. ':r')
        deleted = deleted + 1
    end
end

return { deleted }
