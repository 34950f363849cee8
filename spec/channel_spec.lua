--- channel_spec: channels between tasks, and broadcasts.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"

local it, it_main = helper.it, helper.it_main

local function pack(...) return table.pack(...) end

--- A task that has begun to wait in fn(...).
local function waiting(fn, ...)
  local task = proa.spawn(fn, ...)
  helper.wait_until(function() return task:status() == "waiting" end)
  return task
end

describe("a channel", function()
  it("gives what was sent, in order, several values as one", function()
    local ch = proa.channel(3)
    assert.is_true(ch:send(1))
    assert.is_true(ch:send("two", nil, 3, nil))
    assert.is_true(ch:send(false))
    assert.equal(3, #ch)
    assert.same({ 1, n = 1 }, pack(ch:recv()))
    assert.same({ "two", nil, 3, nil, n = 4 }, pack(ch:recv()))
    assert.same({ false, n = 1 }, pack(ch:recv()))
  end)

  it("keeps order when its places are used again and again", function()
    local ch, got = proa.channel(3), {}
    local sender = proa.spawn(function()
      for i = 1, 1000 do ch:send(i, -i) end
      ch:close()
    end)
    for a, b in ch do
      assert.equal(-a, b)
      got[#got + 1] = a
      if a % 7 == 0 then proa.yield() end
    end
    sender:await()
    assert.equal(1000, #got)
    for i = 1, 1000 do assert.equal(i, got[i]) end
  end)

  it("makes a sender wait while it is full", function()
    local ch = proa.channel(1)
    ch:send "a"
    local sender = waiting(ch.send, ch, "b")
    assert.equal("send", select(2, sender:status()))
    assert.equal("a", ch:recv())
    assert.is_true(sender:await())
    assert.equal("b", ch:recv())
  end)

  it("without places lets a send and a recv meet", function()
    local ch = proa.channel()
    assert.equal(0, ch:capacity())
    assert.equal("EAGAIN", select(3, ch:try_send(1)))
    local sender = waiting(ch.send, ch, 1, 2)
    assert.equal(0, #ch)
    assert.same({ 1, 2 }, { ch:recv() })
    assert.is_true(sender:await())
    local receiver = waiting(ch.recv, ch)
    assert.is_true(ch:try_send "x")
    assert.equal("x", receiver:await())
  end)

  it("gives nil alone after close, when what is queued is gone", function()
    local ch = proa.channel(2)
    ch:send(1)
    ch:close()
    ch:close()
    assert.is_true(ch:closed())
    assert.equal(1, ch:recv())
    assert.same({ nil, n = 1 }, pack(ch:recv()))
    assert.same({ nil, n = 1 }, pack(ch:try_recv()))
    assert.same({ nil, "send: the channel is closed", "CLOSED", n = 3 },
      pack(ch:send(2)))
    assert.equal("CLOSED", select(3, ch:try_send(2)))
  end)

  it("tells those who wait that it is closed", function()
    local full, empty = proa.channel(1), proa.channel(1)
    full:send "kept"
    local sender = waiting(full.send, full, "not taken")
    local receiver = waiting(empty.recv, empty)
    full:close()
    empty:close()
    assert.equal("CLOSED", select(3, sender:await()))
    assert.same({ nil, n = 1 }, pack(receiver:await()))
    assert.equal("kept", full:recv())
    assert.is_nil(full:recv())
  end)

  it("closes at the end of a block", function()
    local ch
    do
      local c <close> = proa.channel()
      ch = c
    end
    assert.is_true(ch:closed())
  end)

  it("takes a limit for either side", function()
    local ch = proa.channel()
    assert.same({ nil, "recv: timed out", "TIMEOUT", n = 3 },
      pack(ch:recv(0.001)))
    assert.same({ nil, "send: timed out", "TIMEOUT", n = 3 },
      pack(ch:send_within(0.001, "lost to nobody")))
    assert.equal("EAGAIN", select(3, ch:try_recv()))
    local sender = waiting(ch.send_within, ch, 3600, "a", "b")
    assert.same({ "a", "b" }, { ch:recv(3600) })
    assert.is_true(sender:await())
  end)

  it("serves those who wait in their order", function()
    local ch, got = proa.channel(), {}
    local receivers, senders = {}, {}
    for i = 1, 5 do
      receivers[i] = waiting(function()
        local v = ch:recv()
        got[#got + 1] = { i, v }
      end)
    end
    for i = 1, 5 do ch:send(i) end
    for _, task in ipairs(receivers) do task:await() end
    assert.same({ { 1, 1 }, { 2, 2 }, { 3, 3 }, { 4, 4 }, { 5, 5 } }, got)
    for i = 1, 5 do senders[i] = waiting(ch.send, ch, i) end
    for i = 1, 5 do assert.equal(i, ch:recv()) end
    for _, task in ipairs(senders) do assert.is_true(task:await()) end
  end)

  it("lets nobody overtake a receiver that has been handed a value", function()
    local ch = proa.channel(1)
    local first = waiting(ch.recv, ch)
    ch:send "for the first"
    assert.equal("EAGAIN", select(3, ch:try_recv()))
    assert.equal("for the first", first:await())
  end)

  it("loses nothing when a receiver is cancelled as it is handed a value",
    function()
      local ch, got = proa.channel(), nil
      local task = waiting(function()
        got = ch:recv()
        proa.sleep(0)
      end)
      ch:send "delivered"
      task:cancel()
      assert.equal("CANCELLED", select(3, task:await()))
      assert.equal("delivered", got)
    end)

  it("takes nothing from a sender that was cancelled", function()
    local ch = proa.channel()
    local cancelled = waiting(ch.send, ch, "no")
    local other = waiting(ch.send, ch, "yes")
    cancelled:cancel()
    assert.equal("CANCELLED", select(3, cancelled:await()))
    assert.equal("yes", ch:recv())
    assert.is_true(other:await())
  end)

  it("counts what a cancelled sender had handed over as sent", function()
    local ch, sent = proa.channel(), nil
    local sender = waiting(function()
      sent = ch:send "x"
      proa.sleep(0)
    end)
    assert.equal("x", ch:recv())
    sender:cancel()
    assert.equal("CANCELLED", select(3, sender:await()))
    assert.is_true(sent)
  end)

  it("passes over a receiver that was cancelled", function()
    local ch = proa.channel()
    local gone, there = waiting(ch.recv, ch), waiting(ch.recv, ch)
    gone:cancel()
    ch:send "x"
    assert.equal("x", there:await())
    gone:await()
  end)

  it("gives other tasks their turn although it always has something", function()
    local ch, turns = proa.channel(100), 0
    local other <const> = proa.spawn(function()
      for _ = 1, 3 do
        turns = turns + 1
        proa.yield()
      end
    end)
    for i = 1, 1000 do
      ch:send(i)
      ch:recv()
    end
    assert.is_true(turns > 0)
    other:await()
  end)

  it("is refused nil, and too much", function()
    local ch = proa.channel(1)
    assert.matches("cannot be nil", helper.error_of(ch.send, ch, nil, 1))
    assert.matches("cannot be nil", helper.error_of(ch.send, ch))
    assert.matches("cannot be nil", helper.error_of(ch.try_send, ch))
    assert.matches("too many values", helper.error_of(ch.send, ch,
      table.unpack({ 1 }, 1, 300)))
    assert.matches("number of messages", helper.error_of(proa.channel, -1))
    assert.equal(0, #ch)
  end)

  it("says what it is", function()
    local ch = proa.channel(2)
    ch:send(1)
    assert.equal("proa.channel (1 of 2)", tostring(ch))
    assert.equal("proa.sending to proa.channel (1 of 2)",
      tostring(proa.sending(ch, 1)))
    ch:close()
    assert.equal("proa.channel (1 of 2, closed)", tostring(ch))
  end)

  it("is a deadlock when nobody is left to send", function()
    local out, status = helper.lua [[
      local proa = require "proa"
      proa.run(function() proa.channel():recv() end)
    ]]
    assert.matches("recv", out)
    assert.matches("deadlock", out:lower())
    assert.equal(1, status)
  end)

  it("keeps no more memory than what is queued", function()
    local ch = proa.channel(4)
    local function round()
      for _ = 1, 2000 do
        ch:send("x", {})
        ch:recv()
      end
      collectgarbage()
      collectgarbage()
      return collectgarbage "count"
    end
    round()
    local before = round()
    assert.is_true(round() < before + 20)
  end)

  it_main("works from the main chunk", function()
    local ch = proa.channel()
    local echo = proa.spawn(function()
      for v in ch do ch:send(v + 1) end
    end)
    assert.is_true(ch:send(1))
    assert.equal(2, ch:recv())
    assert.equal("TIMEOUT", select(3, ch:recv(0.001)))
    ch:close()
    echo:await()
  end)
end)

describe("select over channels", function()
  it("receives and sends", function()
    local a, b = proa.channel(1), proa.channel(1)
    a:send("x", "y")
    assert.same({ "a", "x", "y" }, { proa.select { a = a,
      never = proa.future() } })
    assert.same({ "b", true }, { proa.select { a = a,
      b = proa.sending(b, 1, 2) } })
    assert.same({ 1, 2 }, { b:recv() })
    assert.same({ "timeout" }, { proa.select { a = a, timeout = 0.001 } })
  end)

  it("waits for either side", function()
    local ch = proa.channel()
    local receiver = waiting(proa.select, { got = ch, other = proa.future() })
    assert.is_true(ch:try_send "v")
    assert.same({ "got", "v" }, { receiver:await() })
    local sender = waiting(proa.select,
      { sent = proa.sending(ch, "w"), other = proa.future() })
    assert.equal("w", ch:try_recv())
    assert.same({ "sent", true }, { sender:await() })
  end)

  it("of a closed one gives nil, or CLOSED", function()
    local ch = proa.channel()
    local receiver = waiting(proa.select, { ch })
    local sender = waiting(proa.select, { proa.sending(proa.channel(), 1), ch })
    ch:close()
    assert.same({ 1, nil, n = 2 }, pack(receiver:await()))
    assert.same({ 2, nil, n = 2 }, pack(sender:await()))
    assert.same({ 1, nil, "send: the channel is closed", "CLOSED", n = 4 },
      pack(proa.select { proa.sending(ch, 1) }))
  end)

  it("takes nothing from what it does not choose", function()
    local ch, sink = proa.channel(1), proa.channel(1)
    ch:send "kept"
    local done = proa.future()
    done:set()
    local names = {}
    for _ = 1, 20 do
      local name, v = proa.select { ch = ch, done = done,
        sink = proa.sending(sink, "once") }
      names[name] = true
      if name == "ch" then
        assert.equal("kept", v)
        ch:send(v)
      elseif name == "sink" then
        assert.equal("once", sink:recv())
      end
      assert.equal(1, #ch)
      assert.equal(0, #sink)
    end
    assert.same({ ch = true, done = true, sink = true }, names)
  end)

  it("commits both or none where two selects meet", function()
    local ch, n = proa.channel(), 200
    local sent, got, others = 0, 0, 0
    local function side(entry, count)
      return function()
        for i = 1, n do
          local other = proa.future()
          if i % 3 == 0 then other:set() end
          local name = proa.select { meet = entry(i), other = other,
            timeout = 0.0005 }
          if name == "meet" then count() else others = others + 1 end
        end
      end
    end
    local a = proa.spawn(side(function(i) return proa.sending(ch, i) end,
      function() sent = sent + 1 end))
    local b = proa.spawn(side(function() return ch end,
      function() got = got + 1 end))
    a:await()
    b:await()
    assert.equal(sent, got)
    assert.is_true(got > 0 and others > 0)
  end)

  it("does not send to itself", function()
    local ch = proa.channel()
    assert.same({ "timeout" }, { proa.select { a = ch,
      b = proa.sending(ch, 1), timeout = 0.001 } })
    local name = proa.spawn(proa.select, { a = ch, b = proa.sending(ch, 1) })
    helper.turns()
    assert.equal(1, ch:try_recv())
    assert.equal("b", name:await())
  end)

  it("stands in line with those who only receive", function()
    local ch = proa.channel()
    local first = waiting(proa.select, { ch })
    local second = waiting(ch.recv, ch)
    ch:send "1st"
    ch:send "2nd"
    assert.same({ 1, "1st" }, { first:await() })
    assert.equal("2nd", second:await())
  end)

  it("delivers what it was handed before it is cancelled", function()
    local ch, got = proa.channel(), nil
    local task = waiting(function()
      got = select(2, proa.select { ch, proa.future() })
      proa.sleep(0)
    end)
    ch:send "handed"
    task:cancel()
    task:await()
    assert.equal("handed", got)
  end)

  it("cancelled, leaves the offer to nobody", function()
    local ch = proa.channel()
    local task = waiting(proa.select, { proa.sending(ch, "gone") })
    task:cancel()
    assert.equal("CANCELLED", select(3, task:await()))
    assert.equal("EAGAIN", select(3, ch:try_recv()))
    assert.equal("proa.channel (0 of 0)", tostring(ch))
  end)

  it("keeps nothing of an offer that was not taken", function()
    local ch, kept = proa.channel(), setmetatable({}, { __mode = "v" })
    for i = 1, 3 do
      local done = proa.future()
      kept[i] = { "offered" }
      local task = waiting(proa.select, { proa.sending(ch, kept[i]), done })
      if i == 1 then done:set() else task:cancel() end
      task:await()
    end
    kept[4] = { "offered" }
    assert.equal("TIMEOUT", select(3, ch:send_within(0.001, kept[4])))
    collectgarbage()
    collectgarbage()
    assert.same({}, kept)
  end)

  it("sends the same entry as often as it is chosen", function()
    local ch = proa.channel(5)
    local sent = proa.sending(ch, "again")
    for _ = 1, 3 do assert.equal(1, (proa.select { sent })) end
    assert.equal(3, #ch)
  end)

  it("works in all, any and race", function()
    local a, b = proa.channel(1), proa.channel(1)
    a:send "a"
    assert.same({ "a", true }, proa.all { a, proa.sending(b, "b") })
    assert.equal("b", proa.any { proa.future(), b })
    local rendezvous = proa.channel()
    local left = waiting(proa.all, { rendezvous, proa.sending(a, 1) })
    assert.same({ true }, proa.all { proa.sending(rendezvous, "met") })
    assert.same({ "met", true }, left:await())
    b:send "raced"
    assert.equal("raced", proa.race { proa.future(), b })
  end)

  it("meets an all that is between two of its entries", function()
    local ch, never = proa.channel(), proa.future()
    for _, sends in ipairs { true, false } do
      local now = proa.future()
      local all = waiting(proa.all,
        { now, sends and proa.sending(ch, "a") or ch })
      now:set(1)
      local name, value = proa.select { never = never,
        ch = sends and ch or proa.sending(ch, "b") }
      assert.same({ "ch", sends and "a" or true }, { name, value })
      assert.same({ 1, sends or "b" }, all:await())
    end
  end)

  it("all of two meet while one is busy with other entries", function()
    local x, y = proa.channel(), proa.channel()
    local a = proa.spawn(proa.all, { x, y, proa.sending(y, 1) })
    local b = proa.spawn(proa.all, { proa.sending(x, 2), proa.sending(y, 3), y })
    assert.same({ 2, 3, true }, a:await())
    assert.same({ true, true, 1 }, b:await())
  end)
end)

describe("a broadcast", function()
  it("gives each subscription what is sent from then on", function()
    local b = proa.broadcast(4)
    assert.equal(0, b:send "nobody hears")
    local one = b:subscribe()
    assert.equal(1, b:send(1, "x"))
    local two = b:subscribe()
    assert.equal(2, b:send(2))
    assert.same({ 1, "x" }, { one:recv() })
    assert.equal(2, one:recv())
    assert.equal(2, two:recv())
    assert.equal("EAGAIN", select(3, two:try_recv()))
    assert.equal("TIMEOUT", select(3, two:recv(0.001)))
  end)

  it("tells a slow one how much it missed, and goes on", function()
    local b = proa.broadcast(2)
    local slow = b:subscribe()
    for i = 1, 5 do b:send(i) end
    local value, message, code, missed = slow:recv()
    assert.is_nil(value)
    assert.matches("3 messages missed", message)
    assert.same({ "LAGGED", 3 }, { code, missed })
    assert.equal(4, slow:recv())
    assert.equal(5, slow:recv())
    for i = 1, 3 do b:send(i) end
    assert.matches("1 messages missed", helper.error_of(slow))
  end)

  it("wakes all who wait, and ends with close", function()
    local b, got = proa.broadcast(8), {}
    local tasks = {}
    for i = 1, 3 do
      local sub = b:subscribe()
      tasks[i] = waiting(function()
        got[i] = {}
        for v in sub do table.insert(got[i], v) end
      end)
    end
    b:send "a"
    b:send "b"
    b:close()
    assert.equal("CLOSED", select(3, b:send "c"))
    for i = 1, 3 do
      tasks[i]:await()
      assert.same({ "a", "b" }, got[i])
    end
  end)

  it("can be one of several, and be left", function()
    local b = proa.broadcast(1)
    local sub <close> = b:subscribe()
    local task = waiting(proa.select, { sub = sub, other = proa.future() })
    b:send("v", 2)
    assert.same({ "sub", "v", 2 }, { task:await() })
    local reader = waiting(sub.recv, sub)
    sub:close()
    assert.same({ nil, n = 1 }, pack(reader:await()))
    assert.equal(0, b:send "nobody")
    assert.equal("proa.subscription (closed)", tostring(sub))
    assert.equal("proa.broadcast (0 subscribed)", tostring(b))
  end)

  it("forgets a subscription that is collected", function()
    local b = proa.broadcast(1)
    b:subscribe()
    collectgarbage()
    collectgarbage()
    assert.equal(0, b:send(1))
    assert.matches("number of messages", helper.error_of(proa.broadcast, 0))
  end)
end)
