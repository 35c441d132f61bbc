-- nack: returns events to the queue for another attempt after a delay.  They
-- keep their places in their lanes.
--
-- Called when a delivery has failed and the event has attempts left, in one
-- batch per turn of the event loop.
--
-- KEYS   1 q, 2 h (see accept.lua)
-- ARGV   5 for each event: id, epoch, delay in ms, attempts to add (1; 0 if the
--        failure was not the fault of 1C; below 0: the caller has no location
--        for the event, which other nodes may have for so many ms), reason, one
--        line
-- Reply  for each event 1: it waits; 0: the epoch differs, nothing was changed;
--        3: no node has had a location for it for that long, nothing was changed
-- Errors none of its own

local q, h = KEYS[1], KEYS[2]
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local n = #ARGV / 5
local ask, reply, set, add = {}, {}, {}, {}

-- A reason of this kind ends with the ms since when every node has given it:
-- another failure would have replaced it.  The longer, the longer the delay, so
-- that nodes without the location do not pass the event to and fro.
local function no_location(id, reason, delay, limit)
    local old = redis.call('HGET', h, id .. ':r') or ''
    local since = old:sub(1, #reason) == reason
                  and tonumber(old:match(' %(since (%d+)%)$'))
    since = math.min(since or now, now)
    if now - since > limit then
        return nil
    end
    return math.max(delay, math.min((now - since) / 4, 30000)),
           string.format('%s (since %.0f)', reason, since)
end

for i = 1, n do
    ask[i] = ARGV[i * 5 - 4] .. ':m'
end

local got = redis.call('HMGET', h, unpack(ask))

for i = 1, n do
    local a = i * 5 - 4
    local id, epoch = ARGV[a], ARGV[a + 1]
    local delay, spent = tonumber(ARGV[a + 2]), tonumber(ARGV[a + 3])
    local reason = ARGV[a + 4]
    local have, attempts, rest

    if got[i] then
        have, attempts, rest = got[i]:match('^(%d+) (%d+) %d+ %d+ (.*)$')
    end

    if have == epoch and spent < 0 then
        delay, reason = no_location(id, reason, delay, -spent)
        spent = 0
    end

    if have ~= epoch then
        reply[i] = 0
    elseif not delay then
        reply[i] = 3
    else
        -- the epoch is raised, so that a repeated nack does not count twice;
        -- lost leases are reset, because the worker survived this event
        set[#set + 1] = id .. ':m'
        set[#set + 1] = string.format('%d %d 0 0 %s', epoch + 1,
                                      attempts + spent, rest)
        set[#set + 1] = id .. ':r'
        set[#set + 1] = reason
        add[#add + 1] = string.format('%.0f', now + delay)
        add[#add + 1] = id
        reply[i] = 1
    end
end

if #add > 0 then
    -- for a Redis without memory: see ack.lua
    redis.call('ZREM', q, '')
    redis.call('ZADD', q, unpack(add))
    redis.call('HSET', h, unpack(set))
end

return reply
