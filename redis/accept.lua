-- accept: stores events before their sender is answered, and leases those for
-- which the calling worker holds a delivery slot, so that a worker which dies
-- at any later point leaves nothing behind but a lease that ends.
--
-- KEYS  1 queue ZSET   id -> ms: due, or end of the lease while leased
--       2 HASH         id -> record, never looked into
--                      id:m -> "epoch attempts leased-at created once key lane"
--                      k:KEY -> id of the newest living event of an identity
--                      l:LANE -> id of the lane's head, "+" if others follow
--       3 followers    ZSET of "LANE:number:id", all scores 0
--       4...           one a event: done marker STRING "started id", PX window
-- ARGV  1 lease, ms
--       then 7 an event: id, key, lane, once (1 or 0), lease wanted (1 or 0),
--       ms before which a delivery may have missed the change, record
-- Returns for each event 1: accepted and leased with epoch 1; 0: accepted and
--       waiting; or "c<id>": coalesced with that one; "d<id>": a duplicate of
--       that one.
-- Safe to repeat: an id that is stored is answered 0, its first lease counts.

local q, h, f = KEYS[1], KEYS[2], KEYS[3]
local lease = tonumber(ARGV[1])
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local n = #KEYS - 3
local ask, reply = {}, {}
local set, add, seen = {}, {}, {}

for i = 1, n do
    local a = i * 7 - 6
    ask[i * 2 - 1] = 'k:' .. ARGV[a + 2]
    ask[i * 2] = 'l:' .. ARGV[a + 3]
end

local live = redis.call('HMGET', h, unpack(ask))
local done = redis.call('MGET', unpack(KEYS, 4))

-- fresh events, the rule, are written with one call for all of the batch
local function flush()
    if #set > 0 then
        redis.call('HSET', h, unpack(set))
        set = {}
    end
    if #add > 0 then
        redis.call('ZADD', q, unpack(add))
        add = {}
    end
end

-- the newer body takes the waiting one's place; once an attempt was made, 1C
-- may know the old id as done, so then the place goes to the new id
local function coalesce(old, meta, id, record, kf)
    local attempts, rest, lane = meta:match('^%d+ (%d+) 0 (.* (%x+))$')
    if attempts == '0' then
        redis.call('HSET', h, old, record)
        return 'c' .. old
    end
    local head = redis.call('HGET', h, 'l:' .. lane) or old
    local due = redis.call('ZSCORE', q, old) or now
    redis.call('ZREM', q, old)
    redis.call('HDEL', h, old, old .. ':m', old .. ':r')
    redis.call('ZADD', q, due, id)
    redis.call('HSET', h, id, record, id .. ':m', '0 0 0 ' .. rest,
               kf, id, 'l:' .. lane, id .. head:sub(#old + 1))
    seen['l:' .. lane] = true
    return 'c' .. id
end

-- behind the others of its lane, where claim does not see it; a clock that was
-- set back must not put it before them
local function follow(id, lf, head, lane)
    local number = t[1] * 1000000 + t[2]
    local last = redis.call('ZREVRANGEBYLEX', f, '(' .. lane .. ';',
                            '[' .. lane .. ':', 'LIMIT', 0, 1)[1]
    if last then
        number = math.max(number, last:sub(#lane + 2, #lane + 17) + 1)
    end
    redis.call('ZADD', f, 0, string.format('%s:%016.0f:%s', lane, number, id))
    if head:sub(-1) ~= '+' then
        redis.call('HSET', h, lf, head .. '+')
    end
end

for i = 1, n do
    local a = i * 7 - 6
    local id, key, lane = ARGV[a + 1], ARGV[a + 2], ARGV[a + 3]
    local once, want, since = ARGV[a + 4], ARGV[a + 5], tonumber(ARGV[a + 6])
    local record = ARGV[a + 7]
    local kf, lf = ask[i * 2 - 1], ask[i * 2]
    local other, head, last = live[i * 2 - 1], live[i * 2], done[i]

    if seen[kf] or seen[lf] then
        flush()
        local again = redis.call('HMGET', h, kf, lf)
        other, head = again[1], again[2]
    end
    seen[kf], seen[lf] = true, true

    local meta = other and redis.call('HGET', h, other .. ':m')

    -- k: without a record is left by a broken write, it is as if not there
    if other and not meta then
        other = false
    end

    -- nor may a lane wait for ever behind a head that is gone
    local plus = ''
    if head and redis.call('HEXISTS', h, head:sub(1, 32) .. ':m') == 0 then
        plus = head:sub(33)
        head = false
    end

    local started, whose
    if last then
        started, whose = last:match('^(%d+) (.*)$')
    end

    if other == id or whose == id then
        reply[i] = 0
    elseif other and once == '1' then
        reply[i] = 'd' .. other
    elseif other and meta:match('^%d+ %d+ 0 ') then
        reply[i] = coalesce(other, meta, id, record, kf)
    elseif not other and started
           and (once == '1' or tonumber(started) > since) then
        reply[i] = 'd' .. whose
    else
        local leased = want == '1' and not head
        local at = leased and now or 0
        local s = #set
        set[s + 1], set[s + 2], set[s + 3] = id, record, id .. ':m'
        set[s + 4] = string.format('%d 0 %.0f %.0f %s %s %s', leased and 1 or 0,
                                   at, now, once, key, lane)
        set[s + 5], set[s + 6] = kf, id
        if head then
            flush()
            follow(id, lf, head, lane)
        else
            set[s + 7], set[s + 8] = lf, id .. plus
            s = #add
            add[s + 1] = string.format('%.0f', leased and now + lease or now)
            add[s + 2] = id
        end
        -- a re-run is a new event, yet the sender's change was merged into it
        reply[i] = other and 'c' .. id or leased and 1 or 0
    end
end

flush()
return reply
