-- claim: leases the events whose time has come, oldest first.  An event of a
-- worker that died is among them as soon as its lease has ended.
--
-- Called by a worker with free delivery slots.
--
-- KEYS   1 q, 2 h, 3 d (see accept.lua)
-- ARGV   1 maximum number of events, 1 to 100; 2 lease, ms; then 3 for each
--        event type that is paused: its name; how many of it may be claimed as
--        a probe: 0, 1 (the oldest) or 2 (one, any); ms that the others of it
--        are put off
-- Reply  { ms until the next event can be claimed, -1 if the queue is empty;
--        number of ids that were removed, because their record is missing
--        (these are forgotten) or their fields have the format of another
--        version (these become dead letters); then 9 for each event: id, epoch,
--        failed attempts, key, lane, once, leases in a row that expired, ms
--        since it was accepted, record }; { 0, -1 } while an operator holds a
--        queue that is not empty
-- Errors none of its own
--
-- Every claim raises the epoch of the event.  It is the fencing token: ack,
-- nack, extend and dead change nothing if they are given an older one.
--
-- While types are paused, a call looks at 100 events more than it may claim.  If
-- that many are due, it puts those of the paused types off, so that the next
-- call sees what is behind them.  A probe is an event that has not failed yet,
-- if there is one.

local q, h = KEYS[1], KEYS[2]
local max, lease = tonumber(ARGV[1]), tonumber(ARGV[2])
local out = { -1, 0 }

local function first()
    return redis.call('ZRANGE', q, 0, 0, 'WITHSCORES')[2]
end

-- an idle queue is polled, so this case must be cheap
if not first() then
    return out
end

if redis.call('HEXISTS', h, 'hold') == 1 then
    return { 0, -1 }
end

local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local kinds, paused = {}, {}
local wait

for i = 3, #ARGV, 3 do
    local kind = { pick = ARGV[i + 1], wait = ARGV[i + 2], fresh = {},
                   tried = {} }
    kinds[#kinds + 1] = kind
    paused[ARGV[i]] = kind
end

-- see ngx_b1c_job_record()
local function type_of(record)
    local head, server, uri = (record or ''):match('^(b1 (%d+) (%d+)\n)')
    return head and record:match('^,"event":"([^"]*)"',
                                 #head + server + uri + 1)
end

-- when it was accepted, and whether it waits for its first attempt; for the
-- long epochs see accept.lua
local function age_of(meta)
    local epoch, attempts, created = meta:match('^(%d+) (%d+) %d+ %d+ (%d+) ')
    return tonumber(created) or 0,
           attempts == '0' and (epoch == '0' or #epoch > 12)
end

-- the event of a paused type that is tried
local function probe_of(kind)
    local list = #kind.fresh > 0 and kind.fresh or kind.tried
    local best = list[1]
    if kind.pick == '2' then
        return list[t[2] % #list + 1]
    end
    for _, one in ipairs(list) do
        if one.created < best.created then
            best = one
        end
    end
    return best
end

-- the ids that may be claimed, with their records and fields, and ms until
-- another of them can be; nil if that is to be read from q
local function choose(ids, got)
    local chosen, fields, off, later = {}, {}, {}, {}
    local full, wait = #ids == max + 100

    local function take(i)
        chosen[#chosen + 1] = ids[i]
        fields[#chosen * 2 - 1] = got[i * 2 - 1]
        fields[#chosen * 2] = got[i * 2]
    end

    for i = 1, #ids do
        local meta = got[i * 2]
        local kind = meta and paused[type_of(got[i * 2 - 1]) or '']
        if kind then
            local created, fresh = age_of(meta)
            local list = fresh and kind.fresh or kind.tried
            list[#list + 1] = { i = i, created = created }
            later[i] = tonumber(kind.wait)
        elseif #chosen < max then
            take(i)
        else
            wait = 0
        end
    end

    for _, kind in ipairs(kinds) do
        if kind.pick ~= '0' and #chosen < max
           and #kind.fresh + #kind.tried > 0
        then
            local i = probe_of(kind).i
            take(i)
            later[i] = nil
        end
    end

    for i = 1, #ids do
        if later[i] then
            off[#off + 1] = string.format('%.0f', now + later[i])
            off[#off + 1] = ids[i]
            wait = math.min(wait or later[i], later[i])
        end
    end

    if full and #off > 0 then
        redis.call('ZADD', q, unpack(off))
        wait = nil
    elseif wait then
        local next = redis.call('ZRANGEBYSCORE', q, '(' .. now, '+inf',
                                'WITHSCORES', 'LIMIT', 0, 1)[2]
        wait = math.min(wait, next and next - now or wait)
    end

    return chosen, fields, wait
end

local ids = redis.call('ZRANGEBYSCORE', q, '-inf', now, 'LIMIT', 0,
                       #kinds > 0 and max + 100 or max)

if #ids > 0 then
    -- a removal first, so that a Redis without memory does not reject the rest:
    -- see ack.lua
    redis.call('ZREM', q, '')

    local ask, set, add, drop = {}, {}, {}, {}

    for i, id in ipairs(ids) do
        ask[i * 2 - 1] = id
        ask[i * 2] = id .. ':m'
    end

    local got = redis.call('HMGET', h, unpack(ask))

    if #kinds > 0 then
        ids, got, wait = choose(ids, got)
    end

    local ends = string.format('%.0f', now + lease)
    local leased = string.format('%.0f', now)

    for i, id in ipairs(ids) do
        local record, meta = got[i * 2 - 1], got[i * 2]
        local epoch, attempts, at, lost, created, once, key, lane
        if record and meta then
            epoch, attempts, at, lost, created, once, key, lane = meta:match(
                '^(%d+) (%d+) (%d+) (%d+) (%d+) (%d) (%x+) (%x+)$')
        end
        if epoch then
            epoch = string.format('%d', epoch + 1)
            if at ~= '0' then
                lost = string.format('%d', lost + 1)
            end
            set[#set + 1] = id .. ':m'
            set[#set + 1] = table.concat({ epoch, attempts, leased, lost,
                                           created, once, key, lane }, ' ')
            add[#add + 1] = ends
            add[#add + 1] = id
            local o = #out
            out[o + 1], out[o + 2], out[o + 3] = id, epoch, attempts
            out[o + 4], out[o + 5], out[o + 6] = key, lane, once
            out[o + 7] = lost
            out[o + 8] = string.format('%.0f', math.max(0, now - created))
            out[o + 9] = record
        else
            drop[#drop + 1] = id
            -- without ID:m the next event of the lane sees that the head is
            -- gone
            redis.call('HDEL', h, id .. ':m', id .. ':r')
            if record then
                redis.call('ZADD', KEYS[3], now, id)
                redis.call('HSET', h, id .. ':r', 'its fields in Redis are '
                           .. 'not those of this version')
            end
        end
    end

    if #add > 0 then
        redis.call('ZADD', q, unpack(add))
        redis.call('HSET', h, unpack(set))
    end
    if #drop > 0 then
        redis.call('ZREM', q, unpack(drop))
        out[2] = #drop
    end
end

local due = first()

if wait then
    out[1] = math.ceil(wait)
elseif due then
    out[1] = math.max(0, math.ceil(tonumber(due) - now))
end

return out
