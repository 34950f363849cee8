--- 380: changes were lost that an add let through while others were waiting to
-- be taken: the length of a list whose begin was taken out is not its end.
-- SPDX-License-Identifier: MIT

local core = require "proa.core"
local helper = require "spec.helper"
local proa = require "proa"

local fs = proa.fs
local it = helper.it

--- fs.watch, whose adds of `path` have the kernel's answer and wait for `known`
-- before they give it.
local function slow_watch(path, known, asked)
  return helper.anew("proa.fs.watch", function(call, verb, fd, at, ...)
    local value, message, code = call(verb, fd, at, ...)
    if verb == "watch_add" and at == path then
      asked()
      known:await()
    end
    return value, message, code
  end).watch
end

local function make_directories(first, last, in_directory)
  for i = first, last do assert(fs.mkdir(in_directory .. "/" .. i)) end
end

describe("a watch with changes that nobody took yet", function()
  it("loses none of those that an add lets through", function()
    local one, two, known = helper.temp "one", helper.temp "two", core.future()
    local asked = false
    assert(fs.mkdir(one))
    assert(fs.mkdir(two))
    local watch <close> = assert(slow_watch(two, known, function()
      asked = true
    end)(one))
    local add = proa.spawn(function() assert(watch:add(two)) end)
    helper.wait_until(function() return asked end)
    -- both are watched, the second one not known yet
    make_directories(1, 5, one)
    assert(fs.mkdir(two .. "/a"))
    assert(fs.mkdir(one .. "/z"))
    local seen = {}
    for i = 1, 4 do seen[i] = watch:next().name end
    assert.matches("%(1 unread%)$", tostring(watch))
    known:set()
    add:await()
    while seen[#seen] ~= "z" do seen[#seen + 1] = watch:next().name end
    assert.same({ "1", "2", "3", "4", "5", "a", "z" }, seen)
  end)
end)
