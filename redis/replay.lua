-- replay: returns dead letters to the queue, with a pause between two of them,
-- so that they come after fresh events.
--
-- Called by the API, POST dead/replay.
--
-- KEYS   1 q, 2 h, 3 f, 4 d (see accept.lua); for calls 5, the beginning of
--        the names of done markers, k:
-- ARGV   1 pause between two events, ms; then either ids, or: 2 number of dead
--        letters to look at, at most 100; 3 number of those to skip first;
--        4 mask of event names, where "*" stands for any characters
-- Reply  { number of replayed events; number to skip in the next call, -1 if
--        there are no more }
-- Errors none of its own
--
-- A call that writes a row stays dead if a newer value of the row is done or in
-- the queue: it would overwrite that value.
--
-- A replayed event keeps its id, its attempts are counted from 0 again, and it
-- waits at the end of its lane.

-- @include lib/last_of_lane.lua

local q, h, f, d = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local pause = tonumber(ARGV[1])
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local number = t[1] * 1000000 + t[2]
local ids, pattern, next_skip = {}, nil, -1

if #ARGV == 4 and #ARGV[2] < 32 then
    local look, skip = math.min(tonumber(ARGV[2]), 100), tonumber(ARGV[3])
    ids = redis.call('ZRANGE', d, skip, skip + look - 1)
    pattern = '^' .. ARGV[4]:upper():gsub('[^%w*]', '%%%0'):gsub('%*', '.*')
              .. '$'
    if #ids == look then
        next_skip = skip + look
    end
else
    for i = 2, #ARGV do
        if redis.call('ZSCORE', d, ARGV[i]) then
            ids[#ids + 1] = ARGV[i]
        end
    end
end

local replayed = 0

-- whether a newer call of the same row has taken the place of this one
local function superseded(id, created, once, key)
    if not KEYS[5] or once ~= '0' then
        return false
    end
    local living = redis.call('HGET', h, 'k:' .. key)
    if living and living ~= id then
        return true
    end
    local done = redis.call('GET', KEYS[5] .. key)
    local started = done and done:match('^(%d+) ')
    return started and tonumber(started) > tonumber(created)
end

for _, id in ipairs(ids) do
    local got = redis.call('HMGET', h, id, id .. ':m')
    local epoch, created, once, key, lane

    if got[1] and got[2] then
        epoch, created, once, key, lane = got[2]:match(
            '^(%d+) %d+ %d+ %d+ (%d+) (%d) (%x+) (%x+)$')
    end

    local name = got[1] and got[1]:match('"event":"([^"]*)"') or ''

    if epoch and (not pattern or name:match(pattern))
       and superseded(id, created, once, key)
    then
        redis.call('HSET', h, id .. ':r', 'it stays dead: a newer value of '
                   .. 'its row is done or in the queue')

    elseif epoch and (not pattern or name:match(pattern)) then
        local kf, lf = 'k:' .. key, 'l:' .. lane
        local head = redis.call('HGET', h, lf)
        redis.call('ZREM', d, id)
        redis.call('HSET', h, id .. ':m', string.format('%d 0 0 0 %s %s %s %s',
                   epoch + 1, created, once, key, lane))
        redis.call('HDEL', h, id .. ':r')
        redis.call('HSETNX', h, kf, id)
        if head then
            local last = last_of_lane(f, lane)
            if last then
                number = math.max(number,
                                  last:sub(#lane + 2, #lane + 17) + 1)
            end
            redis.call('ZADD', f, 0,
                       string.format('%s:%016.0f:%s', lane, number, id))
            if head:sub(-1) ~= '+' then
                redis.call('HSET', h, lf, head .. '+')
            end
        else
            redis.call('HSET', h, lf, id)
            redis.call('ZADD', q, string.format('%.0f',
                       now + replayed * pause), id)
        end
        replayed = replayed + 1
        number = number + 1
        if next_skip > 0 then
            next_skip = next_skip - 1
        end
    end
end

return { replayed, next_skip }
