--- 320: a path is watched before the add that asked for it knows: what was
-- read in between was thrown away.
-- SPDX-License-Identifier: MIT

local core = require "proa.core"
local helper = require "spec.helper"
local proa = require "proa"

local fs = proa.fs
local it = helper.it

--- fs.watch, whose adds have their answer from the kernel and wait for
-- `answer` before they know it.
local function slow_watch(answer)
  return helper.anew("proa.fs.watch", function(call, verb, ...)
    local value, message, code = call(verb, ...)
    if verb == "watch_add" then answer(...) end
    return value, message, code
  end).watch
end

--- Two directories, of which the second is added while somebody waits.
-- Gives the watch, the task of the add, and what lets it have its answer.
local function added_slowly()
  local one, two, answered = helper.temp "one", helper.temp "two", nil
  assert(fs.mkdir(one))
  assert(fs.mkdir(two))
  local watched = false
  local watch = assert(slow_watch(function(_, path)
    if path ~= two then return end
    watched, answered = true, core.future()
    answered:await()
  end)(one))
  local add = proa.spawn(watch.add, watch, two)
  helper.wait_until(function() return watched end)
  return watch, add, function() answered:set() end, one, two
end

local function record(watch)
  local seen = {}
  return seen, proa.spawn(function()
    for change in watch do seen[#seen + 1] = change.path end
  end)
end

--- Everything that is there to be read was read.
local function all_read(watch)
  helper.wait_until(function() return #(watch.records or { 1 }) > 0 end)
end

describe("a watch to which a path is added", function()
  it("loses nothing that happens before add returns", function()
    local watch, add, answer, one, two = added_slowly()
    local seen, reader = record(watch)
    assert(fs.mkdir(two .. "/a"))
    assert(fs.mkdir(one .. "/b"))
    assert(fs.mkdir(two .. "/c"))
    all_read(watch)
    answer()
    assert.equal(watch, add:await())
    helper.wait_until(function() return #seen >= 3 end)
    assert.same({ two .. "/a", one .. "/b", two .. "/c" }, seen)
    watch:close()
    reader:await()
  end)

  it("goes on where the add is given up", function()
    local watch, add, _, one, two = added_slowly()
    local seen, reader = record(watch)
    assert(fs.mkdir(two .. "/a"))
    assert(fs.mkdir(one .. "/b"))
    all_read(watch)
    add:cancel()
    add:await()
    helper.wait_until(function() return #seen >= 1 end)
    assert.same({ one .. "/b" }, seen)
    watch:close()
    reader:await()
  end)

  it("can be closed meanwhile", function()
    local watch, add, answer, _, two = added_slowly()
    local _, reader = record(watch)
    assert(fs.mkdir(two .. "/a"))
    all_read(watch)
    watch:close()
    reader:await()
    answer()
    add:await()
  end)
end)
