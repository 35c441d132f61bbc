-- accept: stores events before their sender is answered, and leases those for
-- which the calling worker holds a delivery slot, so that a worker which dies
-- at any later point leaves nothing behind but a lease that ends.
--
-- KEYS  1 queue ZSET   id -> ms: due, or end of the lease while leased
--       2 HASH         id -> record, never looked into
--                      id:m -> "epoch attempts leased-at lost created once key
--                      lane", where lost counts the leases that just ended
--                      k:KEY -> id of the newest living event of an identity
--                      l:LANE -> id of the lane's head, "+" if others follow
--                      hold -> ms since when the operator holds the queue
--       3 followers    ZSET of "LANE:number:id", all scores 0
--       4...           one a event: done marker STRING "started id", PX window
-- ARGV  1 lease, ms; then 3 an event: its k:, l: and id:m field; then 6 an
--       event: id, once (1 or 0), lease wanted (1 or 0; 2: none, and the id
--       may have been accepted before), ms before which a delivery may have
--       missed the change (2^53 or more for a call), "once key lane", record
-- Returns for each event 1: accepted and leased with epoch 1; 0: accepted and
--       waiting, as all are while the queue is held; or "c<id>": coalesced with
--       that one; "d<id>": a duplicate of that one.
-- No two events of a call may share an identity or a lane.  Safe to repeat: an
-- id that is stored is answered 0, its first lease counts.

local q, h, f = KEYS[1], KEYS[2], KEYS[3]
local n = #KEYS - 3
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local created = string.format('%.0f', now)
local micros = string.format('%016.0f', t[1] * 1000000 + t[2])
local ends = string.format('%.0f', now + ARGV[1])
local leased_meta = '1 0 ' .. created .. ' 0 ' .. created .. ' '
local waiting_meta = '0 0 0 0 ' .. created .. ' '
-- An id that was accepted before may have been handed out, acked and overtaken,
-- so that nothing here tells of it, but 1C does know it.  Its epochs begin
-- above all that a worker of then can hold, and tell that it was handed out.
local again_meta = created .. ' 0 0 0 ' .. created .. ' '
local live = redis.call('HMGET', h, 'hold', unpack(ARGV, 2, 3 * n + 1))
local held = live[1]
local done = redis.call('MGET', unpack(KEYS, 4))
local reply, set, add, behind, metas, renamed = {}, {}, {}, {}, {}, {}
local joined = {}

-- @include lib/last_of_lane.lua

-- the last one that waits in a lane, nil if there is none; one that joined it
-- in this very call is not in Redis yet
local function last_of(lane)
    return joined[lane] or last_of_lane(f, lane)
end

-- a call to Bitrix is the change itself: no delivery of another has it
local function is_call(since)
    return tonumber(since) >= 2 ^ 53
end

-- the newer body takes the waiting one's place; once an attempt was made, 1C
-- may know the old id as done, so then the place goes to the new id, unless it
-- may know that one too
local function coalesce(old, meta, id, record, kf, since, again)
    local epoch, rest, lane = meta:match('^(%d+) %d+ 0 (.* (%x+))$')
    -- nor may a newer value be written before one that came between the two
    if is_call(since) then
        local last = last_of(lane)
        if last and last:sub(-32) ~= old then
            return nil
        end
    end
    if epoch == '0' then
        redis.call('HSET', h, old, record)
        return 'c' .. old
    end
    local head = redis.call('HGET', h, 'l:' .. lane)
    if again or not head or head:sub(1, 32) ~= old then
        return nil
    end
    local due = redis.call('ZSCORE', q, old) or created
    renamed[old] = id
    redis.call('ZREM', q, old)
    redis.call('HDEL', h, old, old .. ':m', old .. ':r')
    redis.call('ZADD', q, due, id)
    redis.call('HSET', h, id, record, id .. ':m', '0 0 0 ' .. rest,
               kf, id, 'l:' .. lane, id .. head:sub(#old + 1))
    return 'c' .. id
end

-- behind the others of its lane, where claim does not see it; a clock that was
-- set back must not put it before them
local function follow(id, lf, head)
    local lane = lf:sub(3)
    local number = micros
    if head:sub(-1) == '+' then
        local last = last_of(lane)
        last = last and last:sub(#lane + 2, #lane + 17)
        if last and last >= number then
            number = string.format('%016.0f', last + 1)
        end
    else
        redis.call('HSET', h, lf, head .. '+')
    end
    joined[lane] = lane .. ':' .. number .. ':' .. id
    behind[#behind + 1] = '0'
    behind[#behind + 1] = joined[lane]
end

-- fresh events, the rule, are written with one call for all of them
local function store(id, record, field, meta, kf, lf, head)
    local s = #set
    set[s + 1], set[s + 2] = id, record
    set[s + 3], set[s + 4] = field, meta
    set[s + 5], set[s + 6] = kf, id
    if lf then
        set[s + 7], set[s + 8] = lf, head
    end
end

-- all but a fresh event: something of its identity or its lane is known
local function known(i, a, kf, lf)
    local id, once, record = ARGV[a], ARGV[a + 1], ARGV[a + 5]
    local other, head = live[i * 3 - 1], live[i * 3]
    local meta = other and metas[other]
    local again = ARGV[a + 2] == '2'

    -- k: without a record is left by a broken write, it is as if not there
    if other and not meta then
        other = false
    end

    -- an own lane's head may have been replaced by an event before this one
    local fresh = head and renamed[head:sub(1, 32)]
    if fresh then
        head = fresh .. head:sub(33)
    end

    -- nor may a lane wait for ever behind a head that is gone
    local plus = ''
    if head and not fresh and not metas[head:sub(1, 32)] then
        head = false
        if redis.call('ZRANGEBYLEX', f, '[' .. lf:sub(3) .. ':',
                      '(' .. lf:sub(3) .. ';', 'LIMIT', 0, 1)[1]
        then
            plus = '+'
        end
    end

    local started, whose
    if done[i] then
        started, whose = done[i]:match('^(%d+) (.*)$')
    end

    if live[i * 3 + 1] or other == id or whose == id then
        -- written once more: since Redis 7.2 WAIT counts from the last write of
        -- its own connection, and that may not be the one of the first accept
        if live[i * 3 + 1] then
            redis.call('HSET', h, ARGV[3 * i + 1], live[i * 3 + 1])
        end
        return 0
    end
    if other and once == '1' then
        return 'd' .. other
    end
    if other and meta:match('^%d+ %d+ 0 ') then
        local merged = coalesce(other, meta, id, record, kf, ARGV[a + 3],
                                again)
        if merged then
            return merged
        end
    end
    if not other and started
       and (once == '1' or tonumber(started) > tonumber(ARGV[a + 3])) then
        return 'd' .. whose
    end

    local leased = not head and not other and not held and ARGV[a + 2] == '1'
    store(id, record, ARGV[3 * i + 1], (leased and leased_meta
          or again and again_meta or waiting_meta) .. ARGV[a + 4],
          kf, not head and lf, id .. plus)
    if head then
        follow(id, lf, head)
    else
        add[#add + 1] = leased and ends or created
        add[#add + 1] = id
    end

    -- a re-run is a new event, yet the sender's change was merged into it
    return other and 'c' .. id or leased and 1 or 0
end

-- what is known of those that were there before, with one call for all
local ids, ask = {}, {}

for i = 1, n do
    local other, head = live[i * 3 - 1], live[i * 3]
    if other then
        ids[#ids + 1] = other
    end
    if head then
        ids[#ids + 1] = head:sub(1, 32)
    end
end

if #ids > 0 then
    for i = 1, #ids do
        ask[i] = ids[i] .. ':m'
    end
    local got = redis.call('HMGET', h, unpack(ask))
    for i = 1, #ids do
        metas[ids[i]] = got[i]
    end
end

for i = 1, n do
    local a = 3 * n + 6 * i - 4
    local kf, lf = ARGV[3 * i - 1], ARGV[3 * i]

    if live[i * 3 - 1] or live[i * 3] or live[i * 3 + 1] or done[i]
       or ARGV[a + 2] == '2'
    then
        reply[i] = known(i, a, kf, lf)
    else
        local id, leased, s = ARGV[a], not held and ARGV[a + 2] == '1', #add
        store(id, ARGV[a + 5], ARGV[3 * i + 1],
              (leased and leased_meta or waiting_meta) .. ARGV[a + 4], kf, lf,
              id)
        add[s + 1], add[s + 2] = leased and ends or created, id
        reply[i] = leased and 1 or 0
    end
end

if #set > 0 then
    redis.call('HSET', h, unpack(set))
end
if #add > 0 then
    redis.call('ZADD', q, unpack(add))
end
if #behind > 0 then
    redis.call('ZADD', f, unpack(behind))
end

return reply
