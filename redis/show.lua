-- show: all that is known of one event.
--
-- KEYS  1 dead letters ZSET, 2 HASH (see accept.lua and dead.lua)
-- ARGV  1 id
-- Returns { ms of its death, "" if it lives; id:m; reason of its last failure;
--       record }, empty if there is no such event.

local h, id = KEYS[2], ARGV[1]
local got = redis.call('HMGET', h, id .. ':m', id .. ':r', id)
local died = redis.call('ZSCORE', KEYS[1], id)

if not died and not got[1] then
    return {}
end

return { died or '', got[1] or '', got[2] or '', got[3] or '' }
