-- show: everything that is known about one event.
--
-- Called by the API, GET dead/ID.
--
-- KEYS   1 d, 2 h (see accept.lua)
-- ARGV   1 id
-- Reply  { ms of its death, "" if it is not a dead letter; ID:m; reason of its
--        last failure; record }, empty if there is no such event
-- Errors none of its own

local h, id = KEYS[2], ARGV[1]
local got = redis.call('HMGET', h, id .. ':m', id .. ':r', id)
local died = redis.call('ZSCORE', KEYS[1], id)

if not died and not got[1] then
    return {}
end

return { died or '', got[1] or '', got[2] or '', got[3] or '' }
