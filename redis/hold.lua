-- hold: an operator stops the deliveries of a queue, of all nginx that share it
-- and until it is resumed; events are accepted as ever.
--
-- KEYS  1 HASH (see accept.lua)
-- ARGV  1 hold (1) or resume (0)
-- Returns { 1: done; 0: it was so before }.

local h = KEYS[1]

if ARGV[1] == '0' then
    return { redis.call('HDEL', h, 'hold') }
end

local t = redis.call('TIME')

return { redis.call('HSETNX', h, 'hold', string.format('%.0f',
                    t[1] * 1000 + math.floor(t[2] / 1000))) }
