-- layout: says whether this version may use the queue.  It runs before anything
-- else does on a connection, and every 30 s after that.
--
-- KEYS  1 STRING, number of the layout in which the queue's keys are stored
-- ARGV  1 number of this version's layout, 2 name of the queue
-- Returns OK, or the error "LAYOUT ...", and then nothing may be read or
--       written.  A queue without a number is an empty one, or one of 0.1.0,
--       which stored layout 1: it gets the number.

local mark = redis.call('GET', KEYS[1])

if not mark then
    -- a Redis that refuses writes, for lack of memory say, refuses this one
    -- too; it may recover, and what it holds is no other layout
    redis.pcall('SET', KEYS[1], ARGV[1])

elseif mark ~= ARGV[1] then
    return redis.error_reply(string.format(
        'LAYOUT queue "%s" has layout %s, this version needs layout %s',
        ARGV[2], mark:sub(1, 32), ARGV[1]))
end

return redis.status_reply('OK')
