--- 321: a shared lock was gone when an exclusive one was asked for in its place
-- and could not be had in time.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"
local testing = require "proa.testing"

local fs = proa.fs
local it = helper.it

--- Two that share a lock, and a third.
local function three()
  local path = helper.temp_file("file", "")
  local a, b, c = assert(fs.open(path)), assert(fs.open(path)),
    assert(fs.open(path))
  assert(a:lock "shared")
  assert(b:lock "shared")
  return a, b, c
end

--- a has its shared lock, and nothing but that.
local function still_shares(a, b, c)
  assert(b:unlock())
  assert.equal("TIMEOUT", select(3, c:lock("exclusive", 0)))
  assert.equal(c, c:lock("shared", 0))
  assert(c:unlock())
  assert(a:unlock())
  assert.equal(c, c:lock("exclusive", 0))
end

local function close_all(...)
  for _, file in ipairs { ... } do file:close() end
end

local function given_up(ask)
  local a, b, c = three()
  ask(a)
  still_shares(a, b, c)
  close_all(a, b, c)
end

describe("a shared lock that is to become an exclusive one", function()
  it("is kept when there is no other at once", function()
    given_up(function(a)
      local _, message, code = a:lock("exclusive", 0)
      assert.equal("TIMEOUT", code)
      assert.equal(("lock %s: timed out"):format(a:path()), message)
    end)
  end)

  it("is kept when there is none in time", function()
    given_up(function(a)
      assert.equal("TIMEOUT", select(3, a:lock("exclusive", 0.01)))
    end)
  end)

  it("is kept when a limit around it is over", function()
    given_up(function(a)
      assert.equal("TIMEOUT", select(3, proa.timeout(0.01, a.lock, a)))
    end)
  end)

  it("is kept when its task is cancelled", function()
    given_up(function(a)
      local waits = proa.spawn(a.lock, a)
      helper.turns(5)
      waits:cancel()
      waits:await()
    end)
  end)

  it("becomes one when the others have left", function()
    local a, b, c = three()
    local waits = proa.spawn(a.lock, a)
    helper.turns(5)
    assert(b:unlock())
    assert.equal(a, waits:await())
    assert.equal("TIMEOUT", select(3, c:lock("shared", 0)))
    assert.equal(a, a:lock "shared")
    assert.equal(c, c:lock("shared", 0))
    close_all(a, b, c)
  end)

  it("is not lost without a word to who is quicker", function()
    local lost, kept = 0, 0
    local function contend()
      assert(fs.write("/file", ""))
      local a <close> = assert(fs.open "/file")
      local b <close> = assert(fs.open "/file")
      local c <close> = assert(fs.open "/file")
      assert(a:lock "shared")
      assert(b:lock "shared")
      local waits = proa.spawn(a.lock, a, "exclusive", 1)
      proa.sleep(0.3)
      local quick = c:lock("exclusive", 0)
      assert(b:unlock())
      quick = quick or c:lock("exclusive", 0)
      local ok, message, code = waits:await()
      if quick then
        assert.is_nil(ok)
        assert.equal("EBUSY", code)
        assert.equal("lock /file: timed out, and the shared lock is lost",
          message)
        assert(c:unlock())
        assert.equal(b, b:lock("exclusive", 0)) -- a has none
        lost = lost + 1
      else
        assert.equal(a, ok)
        kept = kept + 1
      end
    end
    for seed = 1, 40 do testing.run(contend, { seed = seed }) end
    assert.is_true(lost > 0)
    assert.equal(40, lost + kept)
  end)
end)
