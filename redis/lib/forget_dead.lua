-- forget_dead: removes dead letters for good, and the done markers that point at
-- them: a repeat of the event must not be a duplicate of an id that is nowhere.
--
-- Returns the number of dead letters that were removed.  The key of a marker is
-- built from that of the hash, because the identity is known only here; all keys
-- of a queue have one hash tag.

local function forget_dead(d, h, ids)
    local removed = 0
    for _, id in ipairs(ids) do
        if redis.call('ZREM', d, id) == 1 then
            local meta = redis.call('HGET', h, id .. ':m')
            local key = meta and meta:match(' (%x+) %x+$')
            local marker = key and h:sub(1, -2) .. 'k:' .. key
            local done = marker and redis.call('GET', marker)
            redis.call('HDEL', h, id, id .. ':m', id .. ':r')
            if done and done:match(' (.*)$') == id then
                -- DEL is not among the permissions of the user of 0.1.0
                redis.call('PEXPIRE', marker, 0)
            end
            removed = removed + 1
        end
    end
    return removed
end
