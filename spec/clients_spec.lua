--- clients_spec.lua: programs written for LuaSocket run in tasks, unchanged.
-- LuaSocket's own clients (http, smtp, ftp), and redis-lua against a real
-- redis-server, each where it is installed: on Debian lua-socket, lua-redis and
-- redis-server. They block as they please; several at once, and the servers
-- that they talk to, share one thread.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"

--- Where a module is; lua-redis has no directory for Lua 5.4 in Debian 12, and
-- is plain Lua.
local function find(module)
  return package.searchpath(module, package.path)
    or package.searchpath(module, package.path:gsub("5%.4", "5.3"))
    or package.searchpath(module, "/usr/share/lua/5.3/?.lua")
end

local function has_luasocket()
  return package.searchpath("socket.http", package.path)
    and package.searchpath("mime.core", package.cpath)
end

-- What every program begins with; then `serve(handler)` gives an address.
local head = [[
  local proa = require "proa"
  require "proa.socket".install()
  local listeners = {}
  local function serve(handler)
    local listener = assert(proa.net.listen "127.0.0.1:0")
    listeners[#listeners + 1] = listener
    proa.spawn(listener.serve, listener, handler)
    return listener:address():match "^(.*):(%d+)$"
  end
  local function line_of(conn)
    local line = conn:read "l"
    return line and line:gsub("\r$", "")
  end
]]

local function run(program)
  local output, status = helper.lua(head .. "proa.run(function()\n" .. program
    .. [[
      for _, listener in ipairs(listeners) do listener:close() end
    end)]], { limit = 60 })
  assert.equal("", output)
  assert.equal(0, status)
end

describe("a program written for LuaSocket", function()
  local function it(name, program)
    helper.it(name, function()
      if not has_luasocket() then return pending "LuaSocket is not installed" end
      run(program)
    end, { limit = 60 })
  end

  it("such as its http posts, is redirected, and streams", [[
    local http, ltn12 = require "socket.http", require "ltn12"
    local host, port = serve(function(conn)
      local method, path = line_of(conn):match "^(%u+) (%S+)"
      local length = 0
      for line in line_of, conn do
        if line == "" then break end
        length = tonumber(line:match "^[Cc]ontent%-[Ll]ength: (%d+)") or length
      end
      local body = length > 0 and conn:read(length) or ""
      if path == "/moved" then
        conn:write("HTTP/1.1 302 Found\r\nLocation: /here\r\n",
          "Content-Length: 0\r\n\r\n")
      else
        body = method .. " " .. path .. " " .. body
        conn:write("HTTP/1.1 200 OK\r\nContent-Length: ", #body, "\r\n\r\n",
          body)
      end
    end)
    local base = ("http://%s:%s"):format(host, port)
    local tasks = {}
    for i = 1, 10 do
      tasks[i] = proa.spawn(function()
        assert(http.request(base .. "/moved") == "GET /here ")
        assert(http.request(base .. "/form", "a=" .. i) == "POST /form a=" .. i)
        local much, parts = ("x"):rep(100000), {}
        local ok, code, headers = http.request { url = base .. "/put",
          method = "PUT", headers = { ["content-length"] = #much },
          source = ltn12.source.string(much), sink = ltn12.sink.table(parts) }
        assert(ok == 1 and code == 200, code)
        assert(table.concat(parts) == "PUT /put " .. much)
        assert(tonumber(headers["content-length"]) == #much + 9)
      end)
    end
    for _, task in ipairs(tasks) do task:await() end
    for _, listener in ipairs(listeners) do listener:close() end
    local body, message
    repeat -- until the listener is gone
      body, message = http.request(base .. "/nobody")
    until message ~= "closed"
    assert(body == nil and message == "connection refused", message)
  ]])

  it("such as its smtp sends mail", [[
    local smtp, ltn12 = require "socket.smtp", require "ltn12"
    local got = {}
    local host, port = serve(function(conn)
      local mail = { to = {} }
      conn:write "220 here\r\n"
      for line in line_of, conn do
        local verb, rest = line:match "^(%a+) ?(.*)"
        if verb == "EHLO" then
          conn:write "250-here\r\n250 8BITMIME\r\n"
        elseif verb == "RCPT" then
          table.insert(mail.to, rest:match "<(.*)>")
          conn:write "250 ok\r\n"
        elseif verb == "DATA" then
          conn:write "354 go on\r\n"
          mail.text = conn:read_until "\r\n.\r\n"
          got[#got + 1] = mail
          conn:write "250 ok\r\n"
        elseif verb == "QUIT" then
          conn:write "221 bye\r\n"
          return
        else
          conn:write "250 ok\r\n"
        end
      end
    end)
    local function send(i)
      return smtp.send { from = "<me@here>", rcpt = { "<a@x>", "<b@y>" },
        source = smtp.message { headers = { subject = "number " .. i },
          body = "text\r\n.\r\nof " .. i },
        server = host, port = port }
    end
    local tasks = {}
    for i = 1, 10 do tasks[i] = proa.spawn(send, i) end
    for _, task in ipairs(tasks) do assert(task:await() == 1) end
    assert(#got == 10)
    for _, mail in ipairs(got) do
      assert(table.concat(mail.to, " ") == "a@x b@y")
      assert(mail.text:find "[Ss]ubject: number %d")
      assert(mail.text:find "text\r\n%.%.\r\nof %d") -- the dot is doubled
    end
  ]])

  it("such as its ftp gets and puts files", [[
    local ftp, ltn12 = require "socket.ftp", require "ltn12"
    local files = { ["one.txt"] = ("one\n"):rep(10000) }
    local host, port = serve(function(conn)
      local data
      conn:write "220 here\r\n"
      for line in line_of, conn do
        local verb, rest = line:match "^(%a+) ?(.*)"
        verb = verb:upper()
        if verb == "EPSV" or verb == "PASV" then
          data = assert(proa.net.listen "127.0.0.1:0")
          local number = tonumber(data:address():match "%d+$")
          conn:write(verb == "EPSV"
            and ("229 passive (|||%d|)\r\n"):format(number)
            or ("227 passive (127,0,0,1,%d,%d)\r\n"):format(number // 256,
              number % 256))
        elseif verb == "RETR" or verb == "STOR" then
          conn:write "150 go on\r\n"
          local other <close> = assert(data:accept(10))
          if verb == "RETR" then
            other:write(files[rest])
            other:shutdown "w"
          else
            files[rest] = other:read "a"
          end
          data:close()
          conn:write "226 done\r\n"
        elseif verb == "USER" then
          conn:write "331 password\r\n"
        elseif verb == "PASS" then
          conn:write "230 welcome\r\n"
        elseif verb == "QUIT" then
          conn:write "221 bye\r\n"
          return
        else
          conn:write "200 ok\r\n"
        end
      end
    end)
    local base = ("ftp://%s:%s/"):format(host, port)
    local tasks = {}
    for i = 1, 5 do
      tasks[i] = proa.spawn(function()
        local text = assert(ftp.get(base .. "one.txt;type=i"))
        assert(text == files["one.txt"])
        assert(ftp.put(base .. i .. ".txt", text:upper()))
      end)
    end
    for _, task in ipairs(tasks) do task:await() end
    for i = 1, 5 do assert(files[i .. ".txt"] == files["one.txt"]:upper()) end
  ]])
end)

-- -- redis --

--- Why it cannot be had here, or nil.
local function missing()
  if helper.driver == "sim" then return "the simulation has no other process" end
  if not find "redis" then return "redis-lua is not installed" end
  if not has_luasocket() then return "LuaSocket is not installed" end
  local _, status = helper.shell "command -v redis-server"
  if status ~= 0 then return "redis-server is not installed" end
end

--- A redis-server at a Unix path, as long as the object is not closed.
local function start_redis()
  local directory = helper.temp "redis"
  assert(proa.fs.mkdir(directory))
  local path = directory .. "/socket"
  local server = assert(proa.process.spawn { "redis-server", "--port", "0",
    "--unixsocket", path, "--save", "", "--appendonly", "no", "--dir",
    directory, stdout = "null", stderr = "null",
    -- AddressSanitizer is for proa: it ends this program, of another allocator
    env = { LD_PRELOAD = false } })
  helper.wait_until(function()
    assert(not server:wait(0), "redis-server does not start")
    local conn = proa.net.connect("unix:" .. path)
    if conn then conn:close() end
    return conn ~= nil
  end)
  return path, setmetatable({}, { __close = function()
    server:kill "TERM"
    assert(server:wait(20))
  end })
end

-- A port that leads to the path, and redis-lua where it was found.
local redis_head = [[
  package.preload.redis = loadfile(%q)
  local path = %q
  local host, port = serve(function(conn)
    local other <close> = assert(proa.net.connect("unix:" .. path))
    local back = proa.spawn(other.copy_to, other, conn)
    conn:copy_to(other)
    other:shutdown "w"
    back:await()
  end)
  local redis = require "redis"
  local function connect()
    return redis.connect(host, tonumber(port))
  end
]]

describe("redis-lua with a real redis-server", function()
  local function it(name, program)
    helper.it(name, function()
      local why = missing()
      if why then return pending(why) end
      local path, closing = start_redis()
      local _ <close> = closing
      run(redis_head:format(find "redis", path) .. program)
    end, { limit = 60 })
  end

  it("speaks over TCP, over a Unix path, and in transactions", [[
    local client = connect()
    assert(client:ping())
    assert(client:set("key", "value") and client:get "key" == "value")
    local answers = client:transaction(function(t)
      for i = 1, 500 do t:rpush("list", i) end
      t:llen "list"
    end)
    assert(answers[#answers] == 500)
    assert(#client:lrange("list", 0, -1) == 500)
    local much = ("x"):rep(1 << 20)
    client:set("much", much)
    assert(client:get "much" == much)
    client:quit()
    local unix = redis.connect("unix://" .. path)
    assert(unix:get "key" == "value")
    assert(not pcall(unix.rpush, unix, "key", 1)) -- of another type
    unix:quit()
  ]])

  it("waits in one task while others go on", [[
    local waiting = {}
    for i = 1, 10 do
      waiting[i] = proa.spawn(function()
        local client = connect()
        local answer = client:blpop("queue", 0)
        client:quit()
        return tonumber(answer[2])
      end)
    end
    local client, sum = connect(), 0
    for i = 1, 10 do client:rpush("queue", i) end
    for _, task in ipairs(waiting) do sum = sum + task:await() end
    assert(sum == 55)
    local counting = {}
    for i = 1, 10 do
      counting[i] = proa.spawn(function()
        local own = connect()
        for _ = 1, 50 do own:incr "count" end
        own:quit()
      end)
    end
    for _, task in ipairs(counting) do task:await() end
    assert(tonumber(client:get "count") == 500)
    client:quit()
  ]])

  it("hears what others publish", [[
    local heard, subscribed = {}, proa.future()
    local listening = proa.spawn(function()
      local client = connect()
      for message, abort in client:pubsub { subscribe = { "news" } } do
        if message.kind == "subscribe" then
          subscribed:set(true)
        elseif message.payload == "end" then
          abort()
        else
          heard[#heard + 1] = message.payload
        end
      end
      client:quit()
    end)
    subscribed:await()
    local client = connect()
    for _, text in ipairs { "one", "two", "end" } do
      client:publish("news", text)
    end
    listening:await()
    assert(table.concat(heard, " ") == "one two")
    client:quit()
  ]])
end)
