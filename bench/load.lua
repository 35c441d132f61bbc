-- Copyright (C) the ngx_http_bitrix1c_module authors
--
-- for wrk: the body of a real ONSALEORDERNEW, every time with another order
--
-- usage: wrk -t 2 ... -s load.lua URL -- body-file [how many]
--
-- When it has sent that many, it asks by GET whether the gateway is there, and
-- so leaves nothing on its way when it is stopped.

local threads = 0

local head, tail, ask
local most = math.huge
local n = 0


function setup(thread)
    threads = threads + 1
    thread:set("number", threads)
end


-- ids of one length, so that only they change from request to request; octal,
-- so that their last two digits can stand for 64 lanes

function init(args)
    local file = assert(io.open(args[1]))
    local body = file:read("*a")
    file:close()

    local first, last = body:find("5BID%5D=123&", 1, true)
    local length = #body - 3 + 10

    head = "POST " .. wrk.path .. " HTTP/1.1\r\n"
           .. "Host: " .. wrk.host .. "\r\n"
           .. "User-Agent: Bitrix24 Webhook Engine\r\n"
           .. "Content-Type: application/x-www-form-urlencoded\r\n"
           .. "Content-Length: " .. length .. "\r\n\r\n"
           .. body:sub(1, last - 4)
    tail = body:sub(last)
    ask = "GET " .. wrk.path .. " HTTP/1.1\r\nHost: " .. wrk.host
          .. "\r\n\r\n"

    -- one more in all: wrk takes one from the first thread to look at it

    if args[2] then
        most = math.floor((tonumber(args[2]) + number) / 2)
    end
end


function request()
    if n >= most then
        return ask
    end

    n = n + 1
    return head .. string.format("%02d%08o", 10 + number, n) .. tail
end


function done(summary, latency)
    local e = summary.errors

    io.write(string.format("result p50=%d p99=%d errors=%d\n",
                           latency:percentile(50), latency:percentile(99),
                           e.connect + e.read + e.write + e.status
                           + e.timeout))
end
