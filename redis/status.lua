-- status: the numbers of a queue.  Nothing is scanned: the cost does not depend
-- on the number of events.
--
-- Called by the API for status and metrics; replies are reused for one second.
--
-- KEYS   1 q, 2 h, 3 f, 4 d (see accept.lua)
-- ARGV   none
-- Reply  { heads of lanes, waiting or leased; those of them whose time has
--        come; followers; dead letters; ms since the first of those whose time
--        has come was accepted; 1 if an operator holds the queue }
-- Errors none of its own

local q, h = KEYS[1], KEYS[2]
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local due = redis.call('ZCOUNT', q, '-inf', now)
local age = 0

if due > 0 then
    local id = redis.call('ZRANGE', q, 0, 0)[1]
    local meta = redis.call('HGET', h, id .. ':m')
    local created = meta and meta:match('^%d+ %d+ %d+ %d+ (%d+) ')
    age = created and math.max(0, now - created) or 0
end

return { redis.call('ZCARD', q), due, redis.call('ZCARD', KEYS[3]),
         redis.call('ZCARD', KEYS[4]), age, redis.call('HEXISTS', h, 'hold') }
