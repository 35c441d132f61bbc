-- dead: moves an event that cannot be delivered to the dead letters, with its
-- record and the reason, and frees its lane.
--
-- Called when 1C rejects an event for good or its attempts are used up.
--
-- KEYS   1 q, 2 h, 3 f, 4 d, 5 done marker k:KEY (see accept.lua)
-- ARGV   1 id, 2 epoch, 3 key, 4 lane, 5 attempts to add, 6 reason, one line;
--        7 window, ms; 8 maximum number of dead letters; 9 their maximum age,
--        ms
-- Reply  { 1: dead; 2: dead, and the next event of its lane can be claimed now;
--        0: the epoch differs, nothing was changed; then the number of old dead
--        letters that were dropped, at most 100 a call }
-- Errors none of its own

-- @include lib/next_of_lane.lua
-- @include lib/forget_dead.lua

local q, h, f, d = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local id, epoch, lane = ARGV[1], ARGV[2], ARGV[4]
local kf, lf = 'k:' .. ARGV[3], 'l:' .. lane
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local got = redis.call('HMGET', h, id .. ':m', kf, lf)
local have, attempts, at, rest, once

if got[1] then
    have, attempts, at, rest =
        got[1]:match('^(%d+) (%d+) (%d+) (%d+ %d+ %d .*)$')
end

if have ~= epoch then
    return { 0, 0 }
end

local result = 1
once = rest:match('^%d+ %d+ (%d) ')

-- a removal first, for a Redis without memory: see ack.lua
redis.call('ZREM', q, id)
redis.call('ZADD', d, now, id)
redis.call('HSET', h, id .. ':r', ARGV[6], id .. ':m',
           string.format('%d %d 0 %s', epoch + 1, attempts + ARGV[5], rest))

if got[2] == id then
    redis.call('HDEL', h, kf)
    -- a repeat of a once event must not become a second dead letter; a later
    -- event of a state carries something new and is tried
    if once == '1' then
        redis.call('SET', KEYS[5], at .. ' ' .. id, 'PX', ARGV[7])
    end
end

if got[3] == id then
    redis.call('HDEL', h, lf)
elseif got[3] == id .. '+' then
    local element, follower, head = next_of_lane(f, lane)
    if element then
        redis.call('ZREM', f, element)
        redis.call('HSET', h, lf, head)
        redis.call('ZADD', q, now, follower)
        result = 2
    else
        redis.call('HDEL', h, lf)
    end
end

local dropped = redis.call('ZRANGEBYSCORE', d, '-inf', now - ARGV[9], 'LIMIT',
                           0, 100)
local over = redis.call('ZCARD', d) - ARGV[8]

if #dropped == 0 and over > 0 then
    dropped = redis.call('ZRANGE', d, 0, math.min(over, 100) - 1)
end

forget_dead(d, h, dropped)

return { result, #dropped }
