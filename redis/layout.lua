-- layout: checks that this version can read the queue, and marks a queue that
-- has no mark yet.
--
-- Called at each connection, before any other script, and then every 30 s.
--
-- KEYS   1 v: number of the layout of the queue (see accept.lua)
-- ARGV   1 number of this version's layout, 2 name of the queue
-- Reply  OK
-- Errors LAYOUT: the queue is stored in another layout; the caller must neither
--        read nor write it
--
-- A queue without a mark is empty or of 0.1.0, which stored layout 1.

local mark = redis.call('GET', KEYS[1])

if not mark then
    -- a Redis that refuses writes, e.g. for lack of memory, refuses this one
    -- too; the next call sets the mark
    redis.pcall('SET', KEYS[1], ARGV[1])

elseif mark ~= ARGV[1] then
    return redis.error_reply(string.format(
        'LAYOUT queue "%s" has layout %s, this version needs layout %s',
        ARGV[2], mark:sub(1, 32), ARGV[1]))
end

return redis.status_reply('OK')
