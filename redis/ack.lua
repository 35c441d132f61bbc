-- ack: removes delivered events from the queue, writes their done markers and
-- frees their lanes.
--
-- Called when a delivery has succeeded, in one batch per turn of the event
-- loop.
--
-- KEYS   1 q, 2 h, 3 f; then one for each event: its done marker k:KEY (see
--        accept.lua)
-- ARGV   1 window, ms; then 3 for each event: its fields ID:m, k:KEY and
--        l:LANE; then 2 for each event: id, epoch
-- Reply  for each event 1: done; 2: done, and the next event of its lane can be
--        claimed now; 0: the epoch differs, nothing was changed
-- Errors none of its own

local q, h, f = KEYS[1], KEYS[2], KEYS[3]
local window = ARGV[1]
local n = #KEYS - 3
local got = redis.call('HMGET', h, unpack(ARGV, 2, 3 * n + 1))
local reply, gone, fields, done = {}, {}, {}, {}
local left, set, due = {}, {}, {}
local now

-- @include lib/verb_of.lua

-- @include lib/next_of_lane.lua

-- the first follower of the lane becomes its head
local function advance(lf)
    local element, id, head = next_of_lane(f, lf:sub(3))
    if not element then
        fields[#fields + 1] = lf
        return 1
    end
    if not now then
        local t = redis.call('TIME')
        now = string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000))
    end
    left[#left + 1] = element
    set[#set + 1] = lf
    set[#set + 1] = head
    due[#due + 1] = now
    due[#due + 1] = id
    return 2
end

for i = 1, n do
    local a = 3 * n + 2 * i
    local id, lf = ARGV[a], ARGV[3 * i + 1]
    local meta, key, head = got[i * 3 - 2], got[i * 3 - 1], got[i * 3]
    local epoch, at, created

    if meta then
        epoch, at, created = meta:match('^(%d+) %d+ (%d+) %d+ (%d+) ')
    end

    if epoch ~= ARGV[a + 1] then
        reply[i] = 0
    else
        local s = #fields
        gone[#gone + 1] = id
        fields[s + 1], fields[s + 2] = id, ARGV[3 * i - 1]
        if key == id then
            fields[#fields + 1] = ARGV[3 * i]
        end
        -- 1C may have processed this id at an earlier attempt and ignored the
        -- last one, so it is not known which changes the delivery carried
        if epoch ~= '1' then
            fields[#fields + 1] = id .. ':r'
            -- or before it was created, see again_meta in accept.lua
            at = #epoch < 13 and created or '0'
        end
        -- no done marker if its opposite was accepted meanwhile, see accept.lua
        if key or not verb_of(ARGV[3 * i]) then
            done[#done + 1] = KEYS[i + 3]
            done[#done + 1] = at .. ' ' .. id
        end
        reply[i] = 1
        if head == id then
            fields[#fields + 1] = lf
        elseif head == id .. '+' then
            reply[i] = advance(lf)
        end
    end
end

-- When Redis has no memory left, it rejects a script at its first write that
-- may need memory, but not a script that has written before.  So every script
-- that frees memory, or leads to that, begins with a removal, even of nothing.
-- Only accept is rejected then.
if #gone > 0 then
    redis.call('ZREM', q, unpack(gone))
    redis.call('HDEL', h, unpack(fields))
end
for i = 1, #done, 2 do
    redis.call('SET', done[i], done[i + 1], 'PX', window)
end
if #left > 0 then
    redis.call('ZREM', f, unpack(left))
    redis.call('HSET', h, unpack(set))
    redis.call('ZADD', q, unpack(due))
end

return reply
