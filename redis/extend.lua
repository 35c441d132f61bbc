-- extend: renews the leases of deliveries that are in progress.
--
-- Called by a timer of the worker, several times within a lease.
--
-- KEYS   1 q, 2 h (see accept.lua)
-- ARGV   1 lease, ms; then 2 for each event: id, epoch
-- Reply  for each event 1: renewed; 0: the lease is lost, and the delivery must
--        be aborted, because another worker may be delivering the event
-- Errors none of its own

local q, h = KEYS[1], KEYS[2]
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local ends = string.format('%.0f', now + ARGV[1])
local n = (#ARGV - 1) / 2
local ask, reply, add = {}, {}, {}

for i = 1, n do
    ask[i] = ARGV[i * 2] .. ':m'
end

local got = redis.call('HMGET', h, unpack(ask))

for i = 1, n do
    if got[i] and got[i]:match('^%d+') == ARGV[i * 2 + 1] then
        add[#add + 1] = ends
        add[#add + 1] = ARGV[i * 2]
        reply[i] = 1
    else
        reply[i] = 0
    end
end

if #add > 0 then
    -- for a Redis without memory: see ack.lua
    redis.call('ZREM', q, '')
    redis.call('ZADD', q, unpack(add))
end

return reply
