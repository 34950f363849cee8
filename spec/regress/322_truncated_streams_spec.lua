--- 322: a connection whose accepted bytes could not be sent was ended as one
-- that has sent everything: its peer took a part for the whole.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"
local testing = require "proa.testing"

local it = helper.it
local MUCH = 32 * 1024 * 1024

--- Reads to the end: how many bytes, and how it ended.
local function read_out(peer)
  local n = 0
  while true do
    local data, _, code = peer:read_some()
    if not data then return n, code end
    n = n + #data
  end
end

--- More is accepted than the kernel takes while nobody reads.
local function write_much(conn)
  assert.is_nil(proa.timeout(0, conn.write, conn, ("x"):rep(MUCH)))
end

local function closed_in_background()
  helper.wait_until(function() return proa.stats().lingering == 0 end)
end

describe("a TCP stream that is closed with bytes left", function()
  local function cut_off(name, close)
    it("resets " .. name, function()
      local conn, peer = helper.tcp_pair()
      local _ <close> = peer
      write_much(conn)
      close(conn)
      closed_in_background()
      local n, code = read_out(peer)
      assert.is_true(n < MUCH)
      assert.equal("ECONNRESET", code)
    end)
  end

  cut_off("when there is no time for them", function(conn) conn:close(0) end)
  cut_off("when the time is over", function(conn) conn:close(0.02) end)
  cut_off("when it is aborted", function(conn) conn:abort() end)

  it("resets for a reader who waits", function()
    local conn, peer = helper.tcp_pair()
    local _ <close> = peer
    local reader = proa.spawn(read_out, peer)
    helper.turns()
    conn:write "accepted, and not on its way yet"
    conn:abort()
    local n, code = reader:await()
    assert.same({ 0, "ECONNRESET" }, { n, code })
  end)

  it("ends as it should when all was sent", function()
    for _, close in ipairs { "close", "shutdown" } do
      local conn, peer = helper.tcp_pair()
      local _ <close> = peer
      local reader = proa.spawn(read_out, peer)
      assert(conn:write(("x"):rep(100000)))
      if close == "shutdown" then assert(conn:shutdown "w") end
      conn:close()
      local n, code = reader:await()
      assert.same({ n = 100000 }, { n = n, code = code })
    end
  end)

  it("resets when a send has failed", function()
    testing.run(function(sim)
      local conn, peer = helper.tcp_pair()
      sim:fail("send", "ENOMEM")
      assert(conn:write "lost")
      assert.equal("ENOMEM", select(3, conn:flush()))
      conn:close()
      local n, code = read_out(peer)
      assert.same({ 0, "ECONNRESET" }, { n, code })
      peer:close()
    end)
  end)
end)
