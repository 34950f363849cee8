--- foreign_libraries_spec.lua: libpq and libcurl inside tasks.
-- Neither has a binding for Lua 5.4 in Debian that shows its descriptors, so
-- spec/foreign/ has a few lines of C for each, which are built here where the
-- libraries are (libpq-dev and postgresql, libcurl4-openssl-dev). What the tasks
-- do is what any binding would have them do: call the library, wait for what it
-- says, call it again.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"

-- AddressSanitizer is for proa: compilers and servers end without freeing.
local function shell(command, limit)
  return helper.shell("unset LD_PRELOAD\n" .. command, limit)
end

--- Build spec/foreign/<name>.c: the library's path; or nil, why not.
local function build(name, package)
  if helper.driver == "sim" then
    return nil, "the simulation has no descriptor for others"
  end
  local flags, status = shell(
    ("pkg-config --cflags --libs %s && pkg-config --cflags lua5.4"):format(
      package))
  if status ~= 0 then return nil, package .. " is not installed" end
  local path = helper.temp(name .. ".so")
  local output
  output, status = shell(
    ("cc -std=c11 -D_GNU_SOURCE -fPIC -shared spec/foreign/%s.c -o %s %s")
      :format(name, path, flags:gsub("\n", " ")))
  if status ~= 0 then return nil, "it cannot be built: " .. output end
  return path
end

local function run(name, library, program, ...)
  local head = ([[
    local proa = require "proa"
    local %s = assert(package.loadlib(%q, "luaopen_%s"))()
  ]]):format(name, library, name)
  local output, status = helper.lua(head .. "proa.run(function(...)\n" .. program
    .. ("\nend, %q)"):format(... or ""), { limit = 60 })
  assert.equal("", output)
  assert.equal(0, status)
end

describe("with libcurl", function()
  helper.it("transfers go on while tasks wait for its sockets and its time",
    function()
      local library, why = build("curl", "libcurl")
      if not library then return pending(why) end
      run("curl", library, [[
        local listener = assert(proa.net.listen "127.0.0.1:0")
        proa.spawn(listener.serve, listener, function(conn)
          local path = conn:read "l":match "^GET /(%S+)"
          repeat local line = conn:read "L" until line == "\r\n"
          local body = path .. ("x"):rep(100000)
          conn:write("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: ",
            #body, "\r\n\r\n", body)
        end)
        local multi, parts = curl.multi(), {}
        for i = 1, 20 do
          multi:add(("http://%s/%d"):format(listener:address(), i))
        end
        -- each socket is an object of the protocol that proa.fd.poll takes, and
        -- so is the time
        local function waited()
          local objects = { { pollfd = function() end,
            timeout = function() return multi:timeout() end } }
          for _, socket in ipairs(multi:sockets()) do
            objects[#objects + 1] = { fd = socket.fd,
              pollfd = function() return socket.fd end,
              events = function() return socket.events end }
          end
          return objects
        end
        local running, ended = 20, 0
        repeat
          local ready = table.pack(proa.fd.poll(table.unpack(waited())))
          assert(ready[1], ready[2])
          for _, object in ipairs(ready) do
            running = multi:act(object.fd, parts)
          end
          for number, status in multi.done, multi do
            assert(number and status == 200, status)
            ended = ended + 1
          end
        until running == 0 and ended == 20
        multi:close()
        assert(#table.concat(parts) == 20 * 100000 + 9 + 11 * 2)
        listener:close()
      ]])
    end, { limit = 60 })
end)

-- -- libpq --

-- A server of its own, at a Unix path: as the user postgres when this is root.
local start = [[
  set -e
  bin=$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)
  dir=$(mktemp -d /tmp/proa_pq.XXXXXX)
  as=
  if [ "$(id -u)" = 0 ]; then
    id postgres >/dev/null
    chown postgres "$dir"
    as="setpriv --reuid=postgres --regid=postgres --clear-groups"
  fi
  cd "$dir"
  $as "$bin/initdb" -D "$dir/data" -A trust -U postgres --no-sync >/dev/null
  $as "$bin/pg_ctl" -D "$dir/data" -w -l "$dir/log" -o "-k $dir -c fsync=off \
    -c listen_addresses=''" start >/dev/null
  echo "$dir"
]]

local stop = [[
  dir=%s
  as=
  [ "$(id -u)" = 0 ] &&
    as="setpriv --reuid=postgres --regid=postgres --clear-groups"
  cd "$dir"
  $as $(ls -d /usr/lib/postgresql/*/bin | tail -n 1)/pg_ctl -D "$dir/data" \
    -m immediate -w stop >/dev/null
  cd / && rm -rf "$dir"
]]

--- Its directory, as long as the second value is not closed; or nil, why not.
local function start_postgres()
  local _, status = shell "ls -d /usr/lib/postgresql/*/bin/initdb"
  if status ~= 0 then return nil, "postgresql is not installed" end
  local output
  output, status = shell(start, 120)
  local dir = output:match "(/tmp/proa_pq%.%w+)\n$"
  if status ~= 0 or not dir then
    return nil, "postgresql does not start: " .. output
  end
  return dir, setmetatable({}, { __close = function()
    shell(stop:format(dir), 60)
  end })
end

describe("with libpq", function()
  helper.it("queries wait in tasks while others go on", function()
    local library, why = build("pq", "libpq")
    if not library then return pending(why) end
    local dir, server = start_postgres()
    if not dir then return pending(server) end
    local _ <close> = server
    run("pq", library, [[
      local where = ...
      local function connect()
        local conn = assert(pq.start("dbname=postgres user=postgres host="
          .. where))
        local done, message
        repeat
          assert(proa.fd.poll(conn, 30))
          done, message = conn:connect()
          assert(done ~= nil, message)
        until done
        return conn
      end
      local function query(conn, sql)
        local values
        assert(conn:send(sql))
        while true do
          local result, message = conn:receive()
          if result == nil and message then error(message) end
          if result == nil then return values end
          if result then values = result else assert(proa.fd.poll(conn, 30)) end
        end
      end
      local first, second = connect(), connect()
      assert(query(first, "select 6 * 7")[1] == "42")
      assert(query(first, "select pg_advisory_lock(1)"))
      local order = {}
      local waiting = proa.spawn(function()
        query(second, "select pg_advisory_lock(1)")
        order[#order + 1] = "second has it"
      end)
      -- until it is seen waiting, by the server
      repeat
        local n = query(first, "select count(*) from pg_locks where not granted")
      until n[1] == "1"
      order[#order + 1] = "first lets go"
      query(first, "select pg_advisory_unlock(1)")
      waiting:await()
      assert(table.concat(order, ", ") == "first lets go, second has it")
      local tasks = {}
      for i = 1, 8 do
        tasks[i] = proa.spawn(function()
          local conn = connect()
          local rows = query(conn, "select repeat('x', 100) from "
            .. "generate_series(1, 5000)")
          conn:close()
          return #rows
        end)
      end
      for _, task in ipairs(tasks) do assert(task:await() == 5000) end
      assert(not pcall(query, first, "select nonsense"))
      first:close()
      second:close()
    ]], dir)
  end, { limit = 200 })
end)
