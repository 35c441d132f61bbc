-- call_status: what has become of one queued call.
--
-- KEYS  1 queue ZSET, 2 HASH, 3 dead letters ZSET (see accept.lua and dead.lua),
--       4 its result, STRING (see result.lua)
-- ARGV  1 id
-- Returns { state, attempts that have failed, reason of the last failure or '',
--       result or '' }, where state is "waiting", "in_flight", "done", "dead"
--       or, when nothing is known of the id, "unknown".

local id = ARGV[1]
local got = redis.call('HMGET', KEYS[2], id .. ':m', id .. ':r')
local result = redis.call('GET', KEYS[4]) or ''
local state, attempts, at = 'unknown', '0', nil

if got[1] then
    attempts, at = got[1]:match('^%d+ (%d+) (%d+) ')
end

if redis.call('ZSCORE', KEYS[3], id) then
    state = 'dead'
elseif at then
    -- also one that is sent again, the answer to which was kept before
    state = at == '0' and 'waiting' or 'in_flight'
elseif result ~= '' then
    state = 'done'
end

return { state, tonumber(attempts or 0), got[2] or '', result }
