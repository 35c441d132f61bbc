-- claim: leases the events whose time has come, oldest first.  An event of a
-- worker that died is among them as soon as its lease has ended.
--
-- Called by a worker with free delivery slots.
--
-- KEYS   1 q, 2 h, 3 d (see accept.lua)
-- ARGV   1 maximum number of events, 1 to 100; 2 lease, ms
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
local ids = redis.call('ZRANGEBYSCORE', q, '-inf', now, 'LIMIT', 0, max)

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

if due then
    out[1] = math.max(0, math.ceil(tonumber(due) - now))
end

return out
