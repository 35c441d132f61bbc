-- page: one page of dead letters or of waiting events, in the order of the
-- ZSET.
--
-- Called by the API for lists, the export and actions by filter.
--
-- KEYS   1 q, f or d, 2 h (see accept.lua)
-- ARGV   1 "asc" or "desc"; 2 number of elements to look at, at most 200; 3
--        score and 4 member of the element to continue after, "" at the start;
--        5 lowest and 6 highest score; 7 stop after so many bytes of records,
--        0: return the heads of the records alone, of at most a megabyte of
--        records, because each is read whole and Redis does nothing meanwhile
-- Reply  { number of elements in the ZSET; 1 if there are more; then 6 for each
--        event: score, member, ID:m, reason, bytes of the record, its JSON from
--        the comma after the id; for a head alone, up to "data" }
-- Errors none of its own
--
-- The element to continue after may be gone or have another score by now.

local z, h = KEYS[1], KEYS[2]
local desc = ARGV[1] == 'desc'
local look, bytes = tonumber(ARGV[2]), tonumber(ARGV[7])
local touch = bytes > 0 and bytes or 1048576
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
    -- elements with the same score are few: skip those that were before it
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

-- a record of another version has no head that this version can read
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
    if size >= touch then
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
