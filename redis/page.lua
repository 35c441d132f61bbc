-- page: a page of dead letters, or of what waits, in the order of the ZSET.
--
-- KEYS  1 ZSET: queue, followers or dead letters, 2 HASH (see accept.lua)
-- ARGV  1 "asc" or "desc"; 2 how many to look at, at most 200; 3 score and 4
--       member to go on after, both "" at the start; 5 least and 6 most score;
--       7 bytes of records after which to stop, 0: only their heads are due
-- Returns { elements of the ZSET; 1 if there are more; then 6 an event: score,
--       member, id:m, reason, bytes of the record, its JSON from the comma
--       after the id on, up to "data" if only the head is due }.
-- The member to go on after may be gone meanwhile, or stand elsewhere.

local z, h = KEYS[1], KEYS[2]
local desc = ARGV[1] == 'desc'
local look, bytes = tonumber(ARGV[2]), tonumber(ARGV[7])
local score, member, least, most = ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local card = redis.call('ZCARD', z)

local function rows(from)
    local to = from + look - 1
    return desc and redis.call('ZREVRANGE', z, from, to, 'WITHSCORES')
           or redis.call('ZRANGE', z, from, to, 'WITHSCORES')
end

local function before(limit)
    return desc and redis.call('ZCOUNT', z, '(' .. limit, '+inf')
           or redis.call('ZCOUNT', z, '-inf', '(' .. limit)
end

local function start()
    if member == '' then
        return before(desc and most or least)
    end
    local now = redis.call('ZSCORE', z, member)
    if now and tonumber(now) == tonumber(score) then
        return (desc and redis.call('ZREVRANK', z, member)
                or redis.call('ZRANK', z, member)) + 1
    end
    if score == '0' then
        return redis.call('ZLEXCOUNT', z, '-', '[' .. member)
    end
    -- of those with its score, few, the ones that stood before it
    local from = before(score)
    local ties = rows(from)
    for i = 1, #ties, 2 do
        if tonumber(ties[i + 1]) ~= tonumber(score)
           or (desc and ties[i] < member or not desc and ties[i] > member) then
            break
        end
        from = from + 1
    end
    return from
end

-- records of another version have no head that could be shown
local function text(record)
    local server, uri, at = record:match('^b1 (%d+) (%d+)\n()')
    if not at then
        return ''
    end
    at = at + server + uri
    if bytes > 0 then
        return record:sub(at)
    end
    return record:sub(at, (record:find(',"data":', at, true) or at) - 1)
end

local from = start()
local found = rows(from)
local out, size = { card, 0 }, 0

for i = 1, #found, 2 do
    local name, at = found[i], tonumber(found[i + 1])
    if at < tonumber(least) or at > tonumber(most) then
        return out
    end
    if size > 0 and size >= bytes and bytes > 0 then
        break
    end
    local id = name:sub(-32)
    local got = redis.call('HMGET', h, id, id .. ':m', id .. ':r')
    local record = got[1] or ''
    local o = #out
    size = size + #record
    from = from + 1
    out[o + 1], out[o + 2] = found[i + 1], name
    out[o + 3], out[o + 4] = got[2] or '', got[3] or ''
    out[o + 5], out[o + 6] = string.format('%d', #record), text(record)
end

out[2] = from < card and 1 or 0

return out
