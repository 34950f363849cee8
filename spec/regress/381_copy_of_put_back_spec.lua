--- 381: a copy from a file told of no byte when it timed out among those that
-- were read ahead or put back, and did not know its idle limit there.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"

local it = helper.it

local LONG = ("x"):rep(1 << 20) -- more than a pair holds

--- A copy to a peer that does not read, then what it got all the same.
local function copy_to_silent(options)
  local file <close> = assert(proa.fs.open(helper.temp_file("short", "short")))
  local conn, peer = proa.net.pair()
  file:unread(LONG)
  local ok, message, code, count = file:copy_to(conn, options)
  assert.same({ nil, "copy: timed out", "TIMEOUT" }, { ok, message, code })
  conn:close()
  local got = #peer:read "a"
  peer:close()
  assert.equal(#LONG - got + #"short", #file:read "a")
  return count, got
end

describe("a copy from a file of what was put back", function()
  it("tells how much of it went when its time is over", function()
    local count, got = copy_to_silent { timeout = 0.01 }
    assert.is_true(count > 0)
    assert.equal(got, count)
  end)

  it("has its idle limit there, too", function()
    local count, got = copy_to_silent { idle = 0.01 }
    assert.is_true(count > 0)
    assert.equal(got, count)
  end)
end)
