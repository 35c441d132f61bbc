-- nack: events go back to wait, keep their place in their lanes and become due
-- again after a delay.
--
-- KEYS  1 queue ZSET, 2 HASH (see accept.lua)
-- ARGV  5 an event: id, epoch, delay in ms, attempts spent (1; 0 when 1C was
--       not to blame), reason of one line
-- Returns for each event 1: waiting; 0: the epoch is not this one, nothing was
--       changed.

local q, h = KEYS[1], KEYS[2]
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local n = #ARGV / 5
local ask, reply, set, add = {}, {}, {}, {}

for i = 1, n do
    ask[i] = ARGV[i * 5 - 4] .. ':m'
end

local got = redis.call('HMGET', h, unpack(ask))

for i = 1, n do
    local a = i * 5 - 4
    local id, epoch = ARGV[a], ARGV[a + 1]
    local have, attempts, rest

    if got[i] then
        have, attempts, rest = got[i]:match('^(%d+) (%d+) %d+ %d+ (.*)$')
    end

    if have ~= epoch then
        reply[i] = 0
    else
        -- the epoch is raised, or this nack sent twice would count twice; and
        -- an event with which a worker lived is not to blame for lost leases
        set[#set + 1] = id .. ':m'
        set[#set + 1] = string.format('%d %d 0 0 %s', epoch + 1,
                                      attempts + ARGV[a + 3], rest)
        set[#set + 1] = id .. ':r'
        set[#set + 1] = ARGV[a + 4]
        add[#add + 1] = string.format('%.0f', now + ARGV[a + 2])
        add[#add + 1] = id
        reply[i] = 1
    end
end

if #add > 0 then
    -- for a Redis that is full, see ack.lua
    redis.call('ZREM', q, '')
    redis.call('ZADD', q, unpack(add))
    redis.call('HSET', h, unpack(set))
end

return reply
