-- claim: leases what is due, oldest first, and so finds again what a dead
-- worker held, because its lease has ended by then.
--
-- KEYS  1 queue ZSET, 2 HASH (see accept.lua), 3 dead letters ZSET
-- ARGV  1 how many at most (1..100), 2 lease, ms
-- Returns { ms until the next one is due, -1 if the queue is empty; how many were
--       taken out because their record is gone, or, and these are dead letters
--       now, because their fields are not those of this version; then 9 an
--       event: id, epoch, attempts that failed, key, lane, once, leases that
--       ended without a word, ms since it was accepted, record }, or { 0, -1 }
--       while the operator holds the queue and events are in it.
-- The epoch is raised by every claim: it is the fencing token without which
-- ack, nack, extend and dead change nothing.

local q, h = KEYS[1], KEYS[2]
local max, lease = tonumber(ARGV[1]), tonumber(ARGV[2])
local out = { -1, 0 }

local function first()
    return redis.call('ZRANGE', q, 0, 0, 'WITHSCORES')[2]
end

-- an idle queue is asked every now and then and should cost next to nothing
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
    -- a full Redis lets a script go on that has begun with a removal, see
    -- ack.lua
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
            -- without id:m the lane's next event sees that its head is gone
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
