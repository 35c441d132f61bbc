-- status: what a queue holds, counted and not looked through: it costs the same
-- with a million events as with none.
--
-- KEYS  1 queue ZSET, 2 HASH, 3 followers ZSET (see accept.lua), 4 dead letters
--       ZSET
-- Returns { events in the queue ZSET, those of them that are due, followers,
--       dead letters, ms since the first of those that are due was accepted, 1
--       if the operator holds the queue }.

local q, h = KEYS[1], KEYS[2]
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local due = redis.call('ZCOUNT', q, '-inf', now)
local age = 0

if due > 0 then
    local id = redis.call('ZRANGE', q, 0, 0)[1]
    local meta = redis.call('HGET', h, id .. ':m')
    local created = meta and meta:match('^%d+ %d+ %d+ %d+ (%d+) ')
    age = created and math.max(0, now - created) or 0
end

return { redis.call('ZCARD', q), due, redis.call('ZCARD', KEYS[3]),
         redis.call('ZCARD', KEYS[4]), age, redis.call('HEXISTS', h, 'hold') }
