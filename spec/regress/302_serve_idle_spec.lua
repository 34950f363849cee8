--- 302: a client that serve's own idle limit ended was reported as an error of
-- the handler, with a traceback for each.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"

--- Serve one silent client; what was reported, logged and counted of it.
local function serve_silent(listener, address, handler, options)
  local reports, lines = helper.catch_errors(), {}
  local saved = proa.on_log(function(level, _, fields)
    if fields.event == "idle" then lines[#lines + 1] = level end
  end)
  local _ <close> = proa.defer(function() proa.on_log(saved) end)
  local before = proa.stats().served_idle
  local server = proa.spawn(listener.serve, listener, handler, options)
  local silent <close> = assert(proa.net.connect(address))
  assert.is_nil((silent:read_some())) -- it was closed
  listener:drain()
  server:await()
  helper.turns(5)
  local counted = proa.stats().served_idle - before
  assert.equal(counted, #lines)
  if counted > 0 then assert.equal("debug", lines[1]) end
  return counted, reports
end

--- Lua's own assert, which the specs have replaced.
local function must(ok, message)
  if not ok then error(message, 0) end
end

local IDLE = { idle = 0.01 }

describe("the idle limit of serve", function()
  local function is_quiet(name, handler, options)
    helper.it_listening("is no error of a handler that " .. name,
      function(listener, address)
        local counted, reports = serve_silent(listener, address, handler,
          options or IDLE)
        assert.equal(1, counted)
        assert.equal(0, #reports)
      end)
  end

  is_quiet("reads lines", function(conn) for _ in conn:lines() do end end)
  is_quiet("reads lines, of so many", function(conn)
    for _ in conn:lines() do end
  end, { idle = 0.01, max = 2 })
  is_quiet("asserts", function(conn) must(conn:read(5)) end)
  is_quiet("copies", function(conn)
    local a, b = proa.net.pair()
    local ok, message = conn:copy_to(a)
    a:close()
    b:close()
    must(ok, message)
  end)

  local function is_told(name, pattern, handler, options)
    helper.it_listening("does not hide " .. name, function(listener, address)
      local counted, reports = serve_silent(listener, address, handler,
        options or IDLE)
      assert.equal(0, counted)
      assert.equal(1, #reports)
      assert.match(pattern, reports[1].err)
      assert.match("302_serve_idle_spec.lua:%d+: in", reports[1].traceback)
    end)
  end

  is_told("another error", "mine", function() error "mine" end)
  is_told("what the handler makes of it", "nobody there", function(conn)
    if not conn:read "l" then error "nobody there" end
  end)
  is_told("another stream's limit behind its own", "timed out$", function(conn)
    assert.is_nil((conn:read "l")) -- the idle limit
    local a, b = proa.net.pair()
    local line, message = a:read("l", { timeout = 0.001 })
    a:close()
    b:close()
    must(line, message)
  end)
  is_told("a limit of the call", "timed out$", function(conn)
    must(conn:read("l", { timeout = 0.001 }))
  end, { idle = 3600 })
  is_told("a limit that the handler has set", "timed out$", function(conn)
    conn:timeout { idle = 0.001 }
    for _ in conn:lines() do end
  end, { idle = 3600 })
end)
