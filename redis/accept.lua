-- accept: stores events before their sender gets an answer.  It also leases the
-- events for which the calling worker has a free delivery slot: if that worker
-- dies later, the lease ends and another worker claims the event.
--
-- Called by the webhook and by kept calls, in one batch per turn of the event
-- loop, and by the drain of the spool.
--
-- The Redis layout of a queue; every key begins with {b1c:NAME}:
--
--   q      ZSET of the events that claim may see: the head of every lane
--          id -> ms: time of the next attempt; while leased, end of the lease
--   h      HASH
--          ID       record: the request for 1C or Bitrix; only page and replay
--                   read parts of it
--          ID:m     "epoch attempts leased-at lost created once key lane":
--                     epoch      raised by claim, nack, dead and replay; a
--                                worker that holds an older one changes nothing
--                     attempts   attempts that failed
--                     leased-at  ms when the lease began, 0 while waiting
--                     lost       leases in a row that expired with no result
--                     created    ms when the event was accepted
--                     once       1: a repeat is a duplicate; 0: a newer event
--                                is coalesced with a waiting one
--                     key, lane  identity of the event, and its lane, both hex
--          ID:r     reason of the last failure, one line
--          k:KEY    id of the newest event of an identity that is in the queue
--          l:LANE   id of the head of a lane, and "+" if it has followers
--          hold     ms since when an operator holds the queue
--   f      ZSET of followers: events behind the head of their lane
--          "LANE:number:ID", all scores 0; number has 16 digits, us
--   d      ZSET of dead letters: id -> ms of death
--   k:KEY  STRING, done marker of an identity: "started id", where started is
--          ms when the delivery that succeeded began; expires after "window"
--   r:ID   STRING, result of a call, see result.lua
--   v      STRING, number of this layout, see layout.lua
--
-- KEYS   1 q, 2 h, 3 f; then one for each event: its done marker k:KEY
-- ARGV   1 lease, ms; then 3 for each event: its fields k:KEY, l:LANE and ID:m;
--        then 6 for each event: id; once, 1 or 0; lease wanted, 1 or 0, or 2:
--        no lease, and the id may have been accepted before; ms: a delivery
--        that began later carried the change already (2^53 or more for a call);
--        "once key lane"; record
-- Reply  for each event 1: accepted and leased, with epoch 1; 0: accepted, it
--        waits, as all events do while the queue is held; "c<id>": coalesced
--        with that event; "d<id>": a duplicate of that event
-- Errors none of its own; if Redis has no memory left, nothing is stored
--
-- No two events of one call may share a lane or the first 20 digits of their
-- identities.  The script may be repeated: a stored id gets the reply 0, and its
-- first lease stays valid.
--
-- An identity of 20 digits for an entity, 4 for a verb and 8 for a time can have
-- opposites.  When an entity is deleted, events about it that came before must
-- not make later ones duplicates or be replaced by them.  The same is true the
-- other way round when an entity is added.

local q, h, f = KEYS[1], KEYS[2], KEYS[3]
local n = #KEYS - 3
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local created = string.format('%.0f', now)
local micros = string.format('%016.0f', t[1] * 1000000 + t[2])
local ends = string.format('%.0f', now + ARGV[1])
local leased_meta = '1 0 ' .. created .. ' 0 ' .. created .. ' '
local waiting_meta = '0 0 0 0 ' .. created .. ' '
-- An id that was accepted before may have been delivered and forgotten here,
-- while 1C still knows it.  Its epochs begin above every epoch that a worker
-- may still hold, and their size shows ack that the id may have been delivered.
local again_meta = created .. ' 0 0 0 ' .. created .. ' '
local live = redis.call('HMGET', h, 'hold', unpack(ARGV, 2, 3 * n + 1))
local held = live[1]
local done = redis.call('MGET', unpack(KEYS, 4))
local reply, set, add, behind, metas, renamed = {}, {}, {}, {}, {}, {}
local joined = {}
local opposite, ended, stale = {}, {}, {}

-- the next event of this identity is neither a duplicate nor coalesced
local function forget(kf, marker, verb, time)
    ended[#ended + 1] = kf:sub(1, 22) .. verb .. time
    stale[#stale + 1] = marker:sub(1, -13) .. verb .. time
end

-- @include lib/verb_of.lua

local function end_opposites(kf, marker)
    local verb = verb_of(kf)
    if verb == 'add0' then
        forget(kf, marker, 'de1e', kf:sub(27))
        forget(kf, marker, 'de1e', '00000000')
    elseif verb == 'de1e' then
        forget(kf, marker, 'add0', kf:sub(27))
        forget(kf, marker, 'add0', '00000000')
        forget(kf, marker, 'ed17', kf:sub(27))
        forget(kf, marker, 'ed17', '00000000')
    end
end

-- @include lib/last_of_lane.lua

-- the last follower of a lane or nil; a follower that joined the lane in this
-- call is not in Redis yet
local function last_of(lane)
    return joined[lane] or last_of_lane(f, lane)
end

-- a call to Bitrix is the change itself, which no other delivery carries
local function is_call(since)
    return tonumber(since) >= 2 ^ 53
end

-- The newer body replaces the waiting one.  After an attempt 1C may have the
-- old id marked as done, so the new id takes the place.  This is not possible
-- if 1C may know the new id as well.
local function coalesce(old, meta, id, record, kf, since, again)
    local epoch, rest, lane = meta:match('^(%d+) %d+ 0 (.* (%x+))$')
    -- a newer value must not overtake a call that was accepted in between
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

-- Puts an event behind the others of its lane, where claim does not see it.  If
-- the clock was set back, its number still must be the largest.
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

-- most events are fresh, so one command writes all of them
local function store(i, id, record, field, meta, kf, lf, head, again)
    local newest = id
    local byte = kf:byte(23)
    if byte == 97 or byte == 100 then
        opposite[#opposite + 1] = i
        -- its opposite may have come since it was accepted first, so that it
        -- must not make later events duplicates
        if again and verb_of(kf) then
            kf, newest = field, meta
        end
    end
    local s = #set
    set[s + 1], set[s + 2] = id, record
    set[s + 3], set[s + 4] = field, meta
    set[s + 5], set[s + 6] = kf, newest
    if lf then
        set[s + 7], set[s + 8] = lf, head
    end
end

-- an event whose id, identity or lane is known already
local function known(i, a, kf, lf)
    local id, once, record = ARGV[a], ARGV[a + 1], ARGV[a + 5]
    local other, head = live[i * 3 - 1], live[i * 3]
    local meta = other and metas[other]
    local again = ARGV[a + 2] == '2'

    -- a k: field without an event comes from a broken write and is ignored
    if other and not meta then
        other = false
    end

    -- an earlier event of this call may have replaced the head of the lane
    local fresh = head and renamed[head:sub(1, 32)]
    if fresh then
        head = fresh .. head:sub(33)
    end

    -- a lane must not wait for ever behind a head that is gone
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
        -- written again, because since Redis 7.2 WAIT counts from the last
        -- write of its own connection, and the first accept may have used
        -- another one
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
    store(i, id, record, ARGV[3 * i + 1], (leased and leased_meta
          or again and again_meta or waiting_meta) .. ARGV[a + 4],
          kf, not head and lf, id .. plus, again)
    if head then
        follow(id, lf, head)
    else
        add[#add + 1] = leased and ends or created
        add[#add + 1] = id
    end

    -- the older delivery is in flight: this is a new event, but the sender is
    -- told that its change was coalesced
    return other and 'c' .. id or leased and 1 or 0
end

-- one command reads the fields of all events that are known already
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
        store(i, id, ARGV[a + 5], ARGV[3 * i + 1],
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
for j = 1, #opposite do
    end_opposites(ARGV[3 * opposite[j] - 1], KEYS[3 + opposite[j]])
end
if #ended > 0 then
    redis.call('HDEL', h, unpack(ended))
    -- hardly ever is there a marker, and one command finds those of all events
    local there = redis.call('MGET', unpack(stale))
    for i = 1, #stale do
        if there[i] then
            redis.call('PEXPIRE', stale[i], 0)
        end
    end
end

return reply
