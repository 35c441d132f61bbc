-- Copyright (C) the ngx_http_bitrix1c_module authors
--
-- The gateway's main path as one would write it in Lua: the form becomes JSON,
-- accept.lua stores and leases it, the sender is answered, a timer delivers it
-- over a keepalive connection, ack.lua removes it from Redis.  Events above the
-- limit wait in Redis and are fetched by claim.lua.  It serves to compare the
-- speed; it has no retry schedule, no dead letters, no lease renewal, and knows
-- one kind of body.

local cjson = require "cjson.safe"

local byte, concat, find, format = string.byte, table.concat, string.find,
                                   string.format
local gmatch, sub = string.gmatch, string.sub

local LEASE, WINDOW, RETRY = 15000, 3600000, 5000

local PREFIX = "{b1c:peer}:"
local QUEUE, RECORDS, LANES = PREFIX .. "q", PREFIX .. "h", PREFIX .. "f"
local DEAD = PREFIX .. "d"

local SECRETS = {
    access_token = true, refresh_token = true, application_token = true,
    event_token = true, client_secret = true, client_id = true,
}

local VERBS = { "NEW", "ADD", "UPDATE", "SAVED", "DELETED", "DELETE" }

local _M = {}

local conf, scripts = nil, {}
local running, waiting = 0, 0
local seed, serial = nil, 0


-- Redis

local function command(...)
    local n = select("#", ...)
    local out = { "*", n, "\r\n" }
    local o = 3

    for i = 1, n do
        local arg = tostring((select(i, ...)))
        out[o + 1], out[o + 2], out[o + 3] = "$", #arg, "\r\n"
        out[o + 4], out[o + 5] = arg, "\r\n"
        o = o + 5
    end

    return concat(out)
end


-- an error of Redis is returned as nil, text, true

local function reply(sock)
    local line, err = sock:receive()

    if not line then
        return nil, err
    end

    local kind, rest = byte(line), sub(line, 2)

    if kind == 36 then                                  -- $
        local size = tonumber(rest)

        if size < 0 then
            return false
        end

        local text
        text, err = sock:receive(size + 2)
        return text and sub(text, 1, size), err
    end

    if kind == 58 then                                  -- :
        return tonumber(rest)
    end

    if kind == 42 then                                  -- *
        local list = {}

        for i = 1, tonumber(rest) do
            local item, failed, refused = reply(sock)

            if item == nil and not refused then
                return nil, failed
            end

            list[i] = item
        end

        return list
    end

    if kind == 43 then                                  -- +
        return rest
    end

    return nil, rest, true                              -- -
end


local function call(...)
    local sock = ngx.socket.tcp()
    sock:settimeout(1000)

    local ok, err = sock:connect(conf.redis)

    if not ok then
        return nil, err
    end

    local refused

    ok, err = sock:send(command(...))

    if ok then
        ok, err, refused = reply(sock)
    end

    if ok ~= nil or refused then
        sock:setkeepalive(60000)
    else
        sock:close()
    end

    return ok, err
end


local function eval(name, nkeys, ...)
    local script = scripts[name]
    local got, err = call("EVALSHA", script.sha1, nkeys, ...)

    if err and find(err, "^NOSCRIPT") then
        got, err = call("EVAL", script.text, nkeys, ...)
    end

    return got, err
end


-- 1C

local function post(sock, id, event, body)
    local ok, err = sock:connect(conf.host, conf.port)

    if not ok then
        return nil, err
    end

    ok, err = sock:send({
        "POST ", conf.path, " HTTP/1.1\r\nHost: onec\r\n",
        "Content-Type: application/json\r\nContent-Length: ", #body,
        "\r\nWebhook-Id: ", id, "\r\nWebhook-Timestamp: ", ngx.time(),
        "\r\nIdempotency-Key: ", id, "\r\nX-Bitrix-Event: ", event,
        "\r\nX-Bitrix1c-Attempt: 1\r\n\r\n", body
    })

    if not ok then
        return nil, err
    end

    local line
    line, err = sock:receive()

    if not line then
        return nil, err
    end

    local status, length, close = tonumber(sub(line, 10, 12)), 0, false

    while true do
        line, err = sock:receive()

        if not line then
            return nil, err
        end

        if line == "" then
            break
        end

        local name, value = line:match("^([^:]+):%s*(.-)%s*$")
        name = name and name:lower()

        if name == "content-length" then
            length = tonumber(value)
        elseif name == "connection" then
            close = value:lower() == "close"
        end
    end

    if length > 0 then
        local text
        text, err = sock:receive(length)

        if not text then
            return nil, err
        end
    end

    if close then
        sock:close()
    else
        sock:setkeepalive(60000)
    end

    return status
end


local function deliver(job)
    local sock = ngx.socket.tcp()
    sock:settimeout(60000)

    local status, err = post(sock, job.id, job.event,
                             '{"id":"' .. job.id .. '"' .. job.record)

    if status and status >= 200 and status < 300 then
        return eval("ack", 4, QUEUE, RECORDS, LANES, PREFIX .. "k:" .. job.key,
                    WINDOW, job.id .. ":m", "k:" .. job.key,
                    "l:" .. job.lane, job.id, job.epoch)
    end

    if not status then
        sock:close()
    end

    return eval("nack", 2, QUEUE, RECORDS, job.id, job.epoch, RETRY, 1,
                err or "status " .. status)
end


local function claim()
    local got = eval("claim", 3, QUEUE, RECORDS, DEAD, 1, LEASE)

    if not got or not got[3] then
        return nil
    end

    waiting = math.max(0, waiting - 1)

    return { id = got[3], epoch = got[4], key = got[6], lane = got[7],
             record = got[11], event = got[11]:match('"event":"([^"]*)"') }
end


-- the timer that runs this counts against the limit

local function run(premature, job)
    while job and not premature do
        deliver(job)
        job = waiting > 0 and claim() or nil
    end

    running = running - 1
end


-- leases that have ended, and what other workers have left

local function sweep()
    if running >= conf.concurrency then
        return
    end

    running = running + 1
    run(false, claim())
end


-- the webhook

local function parse(body)
    local tree = {}

    for key, value in pairs(ngx.decode_args(body, 0)) do
        if type(value) == "table" then
            return nil
        end

        local name, rest = key:match("^([^%[%]]+)(.*)$")

        if not name then
            return nil
        end

        local node = tree

        for part in gmatch(rest, "%[([^%[%]]*)%]") do
            node[name] = node[name] or {}
            node, name = node[name], part

            if type(node) ~= "table" then
                return nil
            end
        end

        if not SECRETS[name] or node == tree.auth then
            node[name] = value == true and "" or value
        end
    end

    return tree
end


local function entity_type(event)
    local name = event:gsub("^ON", "")

    for _, verb in ipairs(VERBS) do
        if #name > #verb and sub(name, -#verb) == verb then
            return sub(name, 1, -#verb - 1)
        end
    end

    return name
end


local function answer(status, text)
    ngx.status = status
    ngx.header.content_length = #text
    ngx.print(text)
end


local function new_id()
    serial = serial + 1
    return ngx.md5(seed .. serial)
end


local function new_job(tree)
    local auth = tree.auth
    local event = tree.event:upper()
    local fields = type(tree.data) == "table" and tree.data.FIELDS or {}
    local kind, id = entity_type(event), fields.ID or ""
    local member = auth.member_id or ""

    return {
        id = new_id(),
        event = event,
        epoch = 1,
        key = ngx.md5(concat({ member, event, kind, id }, "\0")),
        lane = ngx.md5(concat({ member, kind, id }, "\0")),
        record = concat({
            ',"event":', cjson.encode(event), ',"ts":', tonumber(tree.ts) or 0,
            ',"received":', ngx.time(),
            ',"source":{"domain":', cjson.encode(auth.domain or ""),
            ',"member_id":', cjson.encode(member),
            '},"entity":{"type":', cjson.encode(kind), ',"id":',
            cjson.encode(id), '},"data":', cjson.encode(tree.data or {}), "}"
        })
    }
end


function _M.webhook()
    ngx.req.read_body()

    local body = ngx.req.get_body_data()
    local tree = body and parse(body)

    if not tree or type(tree.event) ~= "string" then
        return answer(400, '{"result":"malformed"}\n')
    end

    if type(tree.auth) ~= "table"
       or tree.auth.application_token ~= conf.token
    then
        return answer(403, '{"result":"forbidden"}\n')
    end

    local job = new_job(tree)
    local free = running < conf.concurrency

    if free then
        running = running + 1
    end

    local got = eval("accept", 4, QUEUE, RECORDS, LANES,
                     PREFIX .. "k:" .. job.key, LEASE, "k:" .. job.key,
                     "l:" .. job.lane, job.id .. ":m", job.id, 1,
                     free and 1 or 0, 0,
                     "1 " .. job.key .. " " .. job.lane, job.record)
    local result = got and got[1]

    if result == 1 then
        ngx.timer.at(0, run, job)

    else
        running = running - (free and 1 or 0)

        if not result then
            return answer(503, '{"result":"unavailable"}\n')
        end

        if result ~= 0 then
            return answer(200, format('{"result":"duplicate","id":"%s"}\n',
                                      sub(result, 2)))
        end

        waiting = waiting + 1
    end

    return answer(200, format('{"result":"accepted","id":"%s"}\n', job.id))
end


function _M.start(settings)
    conf = settings
    seed = format("%d %d %.6f ", ngx.worker.pid(), math.random(2 ^ 31 - 1),
                  ngx.now())

    for _, name in ipairs({ "accept", "ack", "claim", "nack" }) do
        local file = assert(io.open(conf.scripts .. "/" .. name .. ".lua"))
        local text = file:read("*a")
        file:close()

        local hex = ngx.sha1_bin(text):gsub(".", function (c)
            return format("%02x", byte(c))
        end)
        scripts[name] = { text = text, sha1 = hex }
    end

    assert(ngx.timer.every(1, sweep))
end


return _M
