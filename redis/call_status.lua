-- call_status: the state of one kept call.
--
-- Called by bitrix1c_rest, for a GET of a call's address.
--
-- KEYS   1 q, 2 h, 3 d (see accept.lua), 4 the result r:ID (see result.lua)
-- ARGV   1 id
-- Reply  { state, failed attempts, reason of the last failure or "", result or
--        "" }; the state is "waiting", "in_flight", "done", "dead", or
--        "unknown" if there is nothing about this id
-- Errors none of its own

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
    -- comes before "done": a call that is sent again may have an older result
    state = at == '0' and 'waiting' or 'in_flight'
elseif result ~= '' then
    state = 'done'
end

return { state, tonumber(attempts or 0), got[2] or '', result }
