-- pipeline.lua - producers, a bounded channel, workers, and results in order.
--
--   lua5.4 examples/pipeline.lua
--
-- Two producers put numbers into a channel that holds four: when the workers
-- are slow, `send` waits. Three workers take them, each as soon as it is free,
-- so that the results come in any order; a last task puts them back in order.
-- Closing a channel ends the loops over it, one stage after the other. If a
-- worker failed, the scope would cancel the others and raise its error. The work
-- is to see how soon n comes down to 1, when it is halved, or, if odd, tripled
-- and one added.
--
-- Prints:
--   1: 0 steps
--   2: 1 steps
--   3: 7 steps
--   4: 2 steps
--   5: 5 steps
--   6: 8 steps
--   7: 16 steps
--   8: 3 steps
--   9: 19 steps
--   10: 6 steps
--   10 numbers, never more than 4 in the channel
-- SPDX-License-Identifier: MIT

local proa = require "proa"

local LAST = 10

local numbers, results = proa.channel(4), proa.channel()
local most = 0

local function produce(first, step)
  for n = first, LAST, step do
    numbers:send(n)
    most = math.max(most, #numbers)
  end
end

local function work()
  for n in numbers do
    local steps, at = 0, n
    while at > 1 do
      at = at % 2 == 0 and at // 2 or 3 * at + 1
      steps = steps + 1
    end
    proa.sleep(steps / 1000) -- as if it were hard
    results:send(n, steps)
  end
end

local function print_in_order()
  local early, due = {}, 1
  for n, steps in results do
    early[n] = steps
    while early[due] do
      print(("%d: %d steps"):format(due, early[due]))
      early[due], due = nil, due + 1
    end
  end
end

--- Run these side by side, and close the channel behind them.
local function stage(channel, ...)
  proa.all { ... }
  channel:close()
end

proa.scope(function(s)
  s:spawn(stage, numbers, function() produce(1, 2) end,
    function() produce(2, 2) end)
  s:spawn(stage, results, work, work, work)
  s:spawn(print_in_order)
end)
print(("%d numbers, never more than %d in the channel"):format(LAST, most))
