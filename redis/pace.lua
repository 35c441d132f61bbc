-- pace: gives permits for calls of a portal, so that all nginx together respect
-- the limits of the portal, and shares what the portal has refused.
--
-- Called before calls of a portal are sent, and when its answers must be
-- shared.
--
-- KEYS   1 HASH of the portal: full -> us when its bucket will be empty; stop
--        -> ms until which no call may be sent; m:METHOD -> ms until which this
--        method may not be called; at -> ms when this was written
-- ARGV   1 us in which one call leaks out of the bucket; 2 calls that fill it;
--        3 calls that were sent without a permit; 4 "1": the portal says that
--        the bucket is full; 5 ms for which all calls stop, or 0; 6 number of
--        methods that stop; then 3 for each: name, ms, 1 if that is a guess,
--        which is used only if nothing better is known; then for each permit
--        that is wanted, the ms that its call may wait
-- Reply  { us until the bucket is empty; ms for which all calls stop; for each
--        permit the ms until it is valid, or -1 - ms if that is longer than the
--        call may wait, and nothing was reserved; then 2 for each method that
--        is stopped: name, ms }
-- Errors none of its own
--
-- A permit is reserved when it is given.  If its caller goes away, the place
-- stays unused, but nobody has to ask twice.

local key = KEYS[1]
local period, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local ms = math.floor(now / 1000)
local all = redis.call('HGETALL', key)
local full, stop, methods, gone = now, 0, {}, {}
local live, back = 1000, 0

-- if the clock was set back, calls must not stop for as long as that
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
        -- written again below
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
