-- expire: removes the dead letters that are older than "age" of dead_letters.
--
-- Called by the first worker, every 10 s.
--
-- KEYS   1 d, 2 h (see accept.lua)
-- ARGV   1 maximum age, ms
-- Reply  { number of removed dead letters }, at most 100 a call
-- Errors none of its own

-- @include lib/forget_dead.lua

local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)

return { forget_dead(KEYS[1], KEYS[2],
                     redis.call('ZRANGEBYSCORE', KEYS[1], '-inf',
                                string.format('%.0f', now - ARGV[1]),
                                'LIMIT', 0, 100)) }
