--- each_spec: map, each, from_callback; `limit` and `collect` of all of them.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"

local it, it_main = helper.it, helper.it_main

local function pack(...) return table.pack(...) end

--- Counts calls that are under way: work(fn) is fn with the count kept.
local function counting()
  local counts = { now = 0, most = 0, all = 0 }
  local function work(fn)
    return function(...)
      counts.now, counts.all = counts.now + 1, counts.all + 1
      counts.most = math.max(counts.most, counts.now)
      local _ <close> = setmetatable({}, {
        __close = function() counts.now = counts.now - 1 end,
      })
      return fn(...)
    end
  end
  return counts, work
end

local function slowly(value, i)
  for _ = 1, (i or 0) % 3 do proa.yield() end
  return value * 2, "not this"
end

local function patiently(value)
  for _ = 1, 10 do proa.yield() end
  return value * 2
end

--- Fails at 3, the ways there are.
local function returns_nil(value)
  if value == 3 then return nil, "no three", "E3" end
  proa.yield()
  return value
end

local function raises(value)
  if value == 3 then error("raised three", 0) end
  proa.yield()
  return value
end

describe("map", function()
  it("gives the first result of each, in the order of the list", function()
    assert.same({ 2, 4, 6, 8, 10 }, proa.map({ 1, 2, 3, 4, 5 }, slowly))
    assert.same({}, proa.map({}, slowly))
    assert.same({ "a1", "b2" }, proa.map({ "a", "b" }, function(v, i)
      return v .. i
    end))
  end)

  it("runs no more than limit at a time", function()
    local list = {}
    for i = 1, 100 do list[i] = i end
    local counts, work = counting()
    local results = proa.map(list, work(patiently), { limit = 7 })
    assert.equal(7, counts.most)
    for i = 1, 100 do assert.equal(2 * i, results[i]) end
    counts, work = counting()
    proa.map(list, work(patiently))
    assert.equal(100, counts.most)
  end)

  it("ends the others when one fails, and does not begin the rest", function()
    local counts, work = counting()
    assert.same({ nil, "no three", "E3", 3, n = 4 },
      pack(proa.map({ 1, 2, 3, 4, 5, 6, 7, 8 }, work(returns_nil),
        { limit = 2 })))
    assert.equal(0, counts.now)
    assert.equal(4, counts.all)
    counts, work = counting()
    assert.equal("raised three",
      helper.error_of(proa.map, { 1, 2, 3, 4 }, work(raises), { limit = 2 }))
    assert.equal(4, counts.all)
    assert.equal(0, counts.now)
  end)

  it("collects failures when asked to", function()
    local list = { 1, 2, 3, 4 }
    local results, errors = proa.map(list, returns_nil,
      { collect = true, limit = 2 })
    assert.same({ [1] = 1, [2] = 2, [4] = 4 }, results)
    assert.same({ [3] = "no three" }, errors)
    results, errors = proa.map(list, raises, { collect = true })
    assert.same({ [1] = 1, [2] = 2, [4] = 4 }, results)
    assert.same({ [3] = "raised three" }, errors)
  end)

  it("ends what it began when it is cancelled", function()
    local counts, work = counting()
    local task = proa.spawn(proa.map, { 1, 2, 3 }, work(function()
      proa.sleep(3600)
    end))
    helper.turns()
    assert.equal(3, counts.now)
    task:cancel()
    assert.equal("CANCELLED", select(3, task:await()))
    assert.equal(0, counts.now)
  end)

  it("refuses misuse, and names where", function()
    assert.matches("^spec/each_spec.lua:%d+: map: a list", helper.error_of(
      function() proa.map(1, slowly) end))
    assert.matches("map: a function expected", helper.error_of(proa.map, {}))
    assert.matches("map: unknown option 'max'", helper.error_of(proa.map, {},
      slowly, { max = 1 }))
    assert.matches("map: limit is at least 1", helper.error_of(proa.map, {},
      slowly, { limit = 0 }))
    assert.matches("map: limit is a number", helper.error_of(proa.map, {},
      slowly, { limit = "2" }))
    assert.matches("map: options are a table", helper.error_of(proa.map, {},
      slowly, 3))
  end)

  it_main("works in the main chunk", function()
    assert.same({ 2, 4 }, proa.map({ 1, 2 }, slowly, { limit = 1 }))
  end)

  it("takes no more memory for many calls than for some", function()
    local list = {}
    for i = 1, 5000 do list[i] = i end
    local most = 0
    collectgarbage()
    collectgarbage()
    local before = collectgarbage "count"
    proa.map(list, function(i)
      proa.yield()
      if i % 1000 == 0 then
        collectgarbage()
        most = math.max(most, collectgarbage "count")
      end
    end, { limit = 10 })
    assert.is_true(most - before < 600, most - before)
  end)
end)

describe("each", function()
  it("calls for each value of a list", function()
    local seen = {}
    assert.equal(3, proa.each({ "a", "b", "c" }, function(v, i)
      proa.yield()
      seen[i] = v
    end))
    assert.same({ "a", "b", "c" }, seen)
    assert.equal(0, proa.each({}, slowly))
  end)

  it("asks an iterator only when there is room", function()
    local given, counts, work = 0, counting()
    local function iterator()
      if given == 20 then return nil end
      given = given + 1
      return given, -given
    end
    assert.equal(20, proa.each(iterator, work(function(a, b)
      assert.equal(-a, b)
      assert.is_true(given <= counts.all + 3)
      patiently(a)
    end), { limit = 3 }))
    assert.equal(3, counts.most)
  end)

  it("takes iterators that await, and channels", function()
    local a, b = proa.net.pair()
    local lines, numbers = {}, {}
    b:write "one\ntwo\nthree\n"
    b:close()
    assert.equal(3, proa.each(a:lines(), function(line)
      lines[#lines + 1] = line
    end, { limit = 1 }))
    assert.same({ "one", "two", "three" }, lines)
    a:close()
    local ch = proa.channel()
    local sender = proa.spawn(function()
      for i = 1, 5 do ch:send(i) end
      ch:close()
    end)
    assert.equal(5, proa.each(ch, function(v) numbers[v] = v end))
    sender:await()
    assert.same({ 1, 2, 3, 4, 5 }, numbers)
    assert.equal(2, proa.each(coroutine.wrap(function()
      coroutine.yield(1)
      proa.yield()
      coroutine.yield(2)
    end), slowly))
  end)

  it("ends with the first failure, and no longer asks", function()
    local given, counts, work = 0, counting()
    local function forever()
      given = given + 1
      proa.yield()
      return given
    end
    assert.same({ nil, "no three", "E3", 3, n = 4 },
      pack(proa.each(forever, work(returns_nil), { limit = 2 })))
    assert.equal(0, counts.now)
    assert.is_true(given <= 6)
    assert.equal("raised three", helper.error_of(proa.each, { 1, 2, 3 },
      work(raises)))
    assert.equal(0, counts.now)
  end)

  it("ends a call when the iterator fails", function()
    local counts, work = counting()
    local function iterator()
      if counts.all == 2 then error("the iterator", 0) end
      proa.yield()
      return 1
    end
    assert.equal("the iterator", helper.error_of(proa.each, iterator,
      work(function() proa.sleep(3600) end)))
    assert.equal(0, counts.now)
  end)

  it("collects failures when asked to", function()
    assert.same({ 4, { [3] = "no three" } }, { proa.each({ 1, 2, 3, 4 },
      returns_nil, { collect = true }) })
    assert.same({ 4, { [3] = "raised three" } }, { proa.each({ 1, 2, 3, 4 },
      raises, { collect = true, limit = 1 }) })
  end)

  it("goes on for ever in the memory of a few", function()
    local n, marks = 0, {}
    proa.each(function()
      n = n + 1
      return n <= 6000 and n or nil
    end, function(i)
      proa.yield()
      if i % 2000 == 0 then
        collectgarbage()
        collectgarbage()
        marks[#marks + 1] = collectgarbage "count"
      end
    end, { limit = 8 })
    assert.is_true(marks[3] < marks[1] + 30, marks[3] - marks[1])
  end)

  it("is cancelled while it waits for the iterator", function()
    local task = proa.spawn(proa.each, function() proa.sleep(3600) end, slowly)
    helper.turns()
    task:cancel()
    assert.equal("CANCELLED", select(3, task:await()))
  end)

  it("refuses misuse", function()
    assert.matches("each: a list or an iterator", helper.error_of(proa.each, 1,
      slowly))
    assert.matches("each: a function", helper.error_of(proa.each, {}, {}))
    assert.matches("unknown option 'n'", helper.error_of(proa.each, {}, slowly,
      { n = 1 }))
  end)
end)

describe("limit and collect", function()
  local function job(work, value)
    return work(function()
      proa.yield()
      if type(value) == "string" then return nil, value end
      return value
    end)
  end

  it("bound the functions of all, not what was there already", function()
    local counts, work = counting()
    local task, future = proa.spawn(slowly, 5, 2), proa.future()
    future:set "set"
    local list = { limit = 2, future }
    for i = 1, 9 do list[#list + 1] = job(work, i) end
    list[#list + 1] = task
    assert.same({ "set", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 }, proa.all(list))
    assert.equal(2, counts.most)
  end)

  it("let any begin the next only when one has failed", function()
    local counts, work = counting()
    assert.equal(3, proa.any { limit = 1, job(work, "a"), job(work, "b"),
      job(work, 3), job(work, 4) })
    assert.equal(3, counts.all)
    assert.same({ { [3] = 3 }, { "a", "b" } }, { proa.any { limit = 1,
      collect = true, job(work, "a"), job(work, "b"), job(work, 3) } })
    assert.same({ {}, { "a", "b" } }, { proa.any { collect = true,
      job(work, "a"), job(work, "b") } })
  end)

  it("let race begin so many", function()
    local counts, work = counting()
    assert.equal(1, proa.race { limit = 2, job(work, 1), job(work, 2),
      job(work, 3) })
    assert.equal(2, counts.all)
    assert.same({ { 7 }, {} }, { proa.race { collect = true, job(work, 7) } })
    assert.same({ {}, { "x" } }, { proa.race { collect = true,
      job(work, "x") } })
    assert.same({ {}, { "raised" } }, { proa.race { collect = true,
      function() error("raised", 0) end } })
  end)

  it("are the only options", function()
    assert.matches("all: unknown option 'colect'", helper.error_of(proa.all,
      { slowly, colect = true }))
    assert.matches("any: collect is a boolean", helper.error_of(proa.any,
      { slowly, collect = 1 }))
    assert.matches("race: limit is at least 1", helper.error_of(proa.race,
      { slowly, limit = -1 }))
  end)
end)

describe("from_callback", function()
  local function later(seconds, ...)
    local results = pack(...)
    local callback = results[results.n]
    proa.spawn(function()
      proa.sleep(seconds)
      callback(table.unpack(results, 1, results.n - 1))
    end)
  end

  it("awaits what the callback is called with", function()
    local wait = proa.from_callback(later)
    assert.same({ 1, nil, 3, nil, n = 4 }, pack(wait(0.001, 1, nil, 3, nil)))
    assert.same({ n = 0 }, pack(wait(0)))
    assert.same({ "at once", n = 1 }, pack(proa.from_callback(function(v, done)
      done(v)
    end)("at once")))
  end)

  it("takes the first call alone", function()
    local answers = {}
    local wait = proa.from_callback(function(done)
      answers[1] = done "first"
      answers[2] = done "second"
    end)
    assert.equal("first", wait())
    assert.same({ true, false }, answers)
  end)

  it("raises what the function raises", function()
    local wait = proa.from_callback(function() error("not even begun", 0) end)
    assert.equal("not even begun", helper.error_of(wait))
    assert.matches("a function expected",
      helper.error_of(proa.from_callback, 1))
  end)

  it("lets a call come when nobody waits any more", function()
    local callback
    local wait = proa.from_callback(function(done) callback = done end)
    assert.equal("TIMEOUT", select(3, proa.timeout(0.001, wait)))
    assert.is_true(callback "late")
    assert.is_false(callback "again")
  end)
end)
