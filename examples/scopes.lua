-- scopes.lua - tasks that end together.
--
--   lua5.4 examples/scopes.lua
--
-- Shows a scope, which returns when all of its tasks have ended; what happens
-- when one of them fails (the others are cancelled, clean up, and the error is
-- raised with the failed task's traceback); few at once; errors collected
-- instead; and the same for the rest of a block.
--
-- Prints:
--   the slowest took 3 naps
--   the logger: cancelled: another task of its scope failed
--   the scope: worker 2 broke
--   at most 2 of 5 ran at once
--   3 of 4 succeeded, the other said: odd one out
--   the block was left: timed out
-- SPDX-License-Identifier: MIT

local proa = require "proa"

local NAP = 0.01 -- seconds

local function all_of_them()
  local most = proa.scope(function(s)
    local tasks, longest = {}, 0
    for i = 1, 3 do
      tasks[i] = s:spawn(function()
        proa.sleep(i * NAP)
        return i
      end)
    end
    for _, task in ipairs(tasks) do longest = math.max(longest, task:await()) end
    return longest
  end)
  print(("the slowest took %d naps"):format(most))
end

local function one_fails()
  local _, message = pcall(proa.scope, function(s)
    s:spawn(function()
      -- runs at the end of the block, and may wait although it is cancelled
      local _ <close> = proa.defer(function(err)
        proa.sleep(NAP)
        print("the logger: " .. tostring(err))
      end)
      proa.sleep(60)
    end)
    for i = 1, 3 do
      s:spawn(function()
        proa.sleep(i * NAP)
        if i == 2 then error("worker 2 broke", 0) end
      end)
    end
  end)
  -- the first line is the error's own; more tells which task it was, and where
  print("the scope: " .. message:match "^[^\n]*")
end

local function few_at_once()
  local running, most = 0, 0
  proa.scope(function(s)
    for _ = 1, 5 do
      s:spawn(function() -- waits until there is room
        running = running + 1
        most = math.max(most, running)
        proa.sleep(NAP)
        running = running - 1
      end)
    end
  end, { limit = 2 })
  print(("at most %d of 5 ran at once"):format(most))
end

local function collected()
  local succeeded = 0
  local errors = proa.scope(function(s)
    for i = 1, 4 do
      s:spawn(function()
        proa.sleep(NAP)
        if i == 3 then error("odd one out", 0) end
        succeeded = succeeded + 1
      end)
    end
  end, { on_error = "collect" })
  print(("%d of 4 succeeded, the other said: %s"):format(succeeded,
    errors[1].error))
end

local function for_a_block()
  local limit = proa.timeout(NAP)
  local _, message = pcall(function()
    local _ <close> = limit
    local s <close> = proa.scope()
    s:spawn(proa.sleep, 60)
  end)
  assert(limit.expired)
  print("the block was left: " .. message)
end

proa.run(function()
  all_of_them()
  one_fails()
  few_at_once()
  collected()
  for_a_block()
end)
