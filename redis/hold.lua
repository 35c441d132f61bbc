-- hold: stops or resumes the deliveries of a queue, for all nginx that share
-- it.  Events are still accepted.
--
-- Called by the API, POST queue/hold and queue/resume.
--
-- KEYS   1 h (see accept.lua)
-- ARGV   1 "1": hold, "0": resume
-- Reply  { 1: done; 0: the queue was in this state already }
-- Errors none of its own

local h = KEYS[1]

if ARGV[1] == '0' then
    return { redis.call('HDEL', h, 'hold') }
end

local t = redis.call('TIME')

return { redis.call('HSETNX', h, 'hold', string.format('%.0f',
                    t[1] * 1000 + math.floor(t[2] / 1000))) }
