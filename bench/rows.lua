-- Copyright (C) the ngx_http_bitrix1c_module authors
--
-- for wrk with one thread: 1C writes the stock of one (product, store) after
-- the other, and begins again when all have been written
--
-- usage: wrk -t 1 ... -s rows.lua URL -- pairs how-many
--
-- Every pair is of one of ten stores.  When it has sent that many, it asks for
-- /ready, and so leaves nothing on its way when it is stopped.

local pairs_of, most, ask
local n = -1


function init(args)
    pairs_of = tonumber(args[1])
    most = tonumber(args[2])
    ask = "GET /ready HTTP/1.1\r\nHost: " .. wrk.host .. "\r\n\r\n"
end


function request()
    if n >= most then
        return ask
    end

    -- wrk takes the first one only to look at it

    n = n + 1

    local i = math.max(n - 1, 0)
    local pair = i % pairs_of
    local body = string.format('{"productId":%d,"storeId":%d,"amount":%d}',
                               math.floor(pair / 10) + 1, pair % 10 + 1,
                               math.floor(i / pairs_of) + 1)

    return "POST " .. wrk.path .. " HTTP/1.1\r\nHost: " .. wrk.host
           .. "\r\nContent-Type: application/json\r\nContent-Length: "
           .. #body .. "\r\n\r\n" .. body
end
