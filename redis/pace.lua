-- pace: gives turns to calls of a portal, so that all nodes together keep to
-- the portal's bucket, and tells all of them what the portal has refused.
--
-- KEYS  1 HASH of the portal: full -> us when its bucket is empty again;
--         stop -> ms until which no call may go; m:METHOD -> ms until which
--         this method may not; at -> ms when this was written
-- ARGV  1 us in which one call leaks out of the bucket, 2 calls that fill it,
--       3 calls that were made without asking, 4 1: the portal says that the
--       bucket is full, 5 ms for which all calls stop, or 0; 6 how many methods
--       are to stop, then 3 each: name, ms, 1 if that is a guess, which counts
--       only if nobody knows better; then the wanted turns, for each the ms
--       that it may wait
-- Returns { us until the bucket is empty, ms for which calls stop; for each
--       wanted turn the ms until it comes, or, if that is more than it may
--       wait and so was not reserved, -1 less those ms; then 2 for each method
--       that is stopped: name, ms }.
-- A turn is reserved when it is given: a caller that goes away leaves a gap,
-- but nobody asks twice.

local key = KEYS[1]
local period, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local ms = math.floor(now / 1000)
local all = redis.call('HGETALL', key)
local full, stop, methods, gone = now, 0, {}, {}
local live, back = 1000, 0

-- a clock that was set back must not stop all calls for as long
for i = 1, #all, 2 do
    if all[i] == 'at' then
        back = math.max(0, (tonumber(all[i + 1]) or 0) - ms)
    end
end

for i = 1, #all, 2 do
    local field, value = all[i], tonumber(all[i + 1]) or 0
    if field == 'full' then
        full = math.max(now, value - back * 1000)
    elseif field == 'stop' then
        stop = math.max(0, value - back - ms)
    elseif field == 'at' then
        -- written anew
    elseif value - back > ms then
        methods[field:sub(3)] = value - back - ms
    else
        gone[#gone + 1] = field
    end
end

full = math.min(full, now + period * burst + 600000000) + period * ARGV[3]

if ARGV[4] == '1' then
    full = math.max(full, now + period * burst)
end

stop = math.max(stop, tonumber(ARGV[5]))

local n = tonumber(ARGV[6])

for i = 7, 6 + 3 * n, 3 do
    local left = methods[ARGV[i]]
    if not left or ARGV[i + 2] == '0' then
        methods[ARGV[i]] = math.max(left or 0, tonumber(ARGV[i + 1]))
    end
end

local reply = { 0, stop }

for i = 7 + 3 * n, #ARGV do
    local wait = math.max(0, full + period - period * burst - now)
    wait = math.ceil(wait / 1000)
    if wait > tonumber(ARGV[i]) then
        reply[#reply + 1] = -1 - wait
    else
        full = full + period
        reply[#reply + 1] = wait
    end
end

reply[1] = full - now
local set = { 'full', string.format('%.0f', full),
              'at', string.format('%.0f', ms) }
live = math.max(live, math.ceil((full - now) / 1000), stop)

if stop > 0 then
    set[#set + 1] = 'stop'
    set[#set + 1] = string.format('%.0f', ms + stop)
end

for name, left in pairs(methods) do
    set[#set + 1] = 'm:' .. name
    set[#set + 1] = string.format('%.0f', ms + left)
    reply[#reply + 1] = name
    reply[#reply + 1] = left
    live = math.max(live, left)
end

if #gone > 0 then
    redis.call('HDEL', key, unpack(gone))
end

redis.call('HSET', key, unpack(set))
redis.call('PEXPIRE', key, string.format('%.0f', live))

return reply
