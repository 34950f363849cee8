-- stuck.lua - four programs that are stuck, each explained by one command.
--
--   lua5.4 examples/stuck.lua deadlock|leak|hog|connect
--
-- deadlock: two tasks wait for each other, which the loop sees: run raises, and
-- the message names the circle. leak: handlers that never end; and connect: a
-- peer that does not answer. Nothing is wrong there that a loop could see, so
-- somebody asks: `kill -QUIT` to a program with setup { dump_signal = "QUIT" }
-- prints what every task waits for, and since when; here a shell does it after
-- a moment. hog: a task that computes and lets nobody else run, which a watchdog
-- reports, with the line, while it does.
--
-- Prints, here for deadlock:
--   deadlock: every task waits for another, and nothing outside can wake one
--
--   in a circle:
--   	#2 "to the right" (examples/stuck.lua:57) waits (lock) for
--   	#3 "to the left" (examples/stuck.lua:58) waits (lock) for
--   	#2
--
--   the main chunk waits: run 2 tasks to end
--
--   task #2 "to the right" (examples/stuck.lua:57) waits: lock held by task #3
--   stack traceback:
--   	[C]: in method 'lock'
--   	examples/stuck.lua:54: in function <examples/stuck.lua:51>
--   	spawned at examples/stuck.lua:57 by task #1
--   	which was spawned at examples/stuck.lua:107 by the main chunk
--
--   task #3 "to the left" (examples/stuck.lua:58) waits: lock held by task #2
--   stack traceback:
--   	[C]: in method 'lock'
--   	examples/stuck.lua:54: in function <examples/stuck.lua:51>
--   	spawned at examples/stuck.lua:58 by task #1
--   	which was spawned at examples/stuck.lua:107 by the main chunk
-- SPDX-License-Identifier: MIT

local proa = require "proa"

-- What somebody types in another window: kill -QUIT <pid>.
local function ask_from_outside()
  local shell <close> = assert(proa.process.spawn { "sh", "-c",
    "sleep 0.3; kill -QUIT $PPID" })
  shell:wait()
end

local stuck = {}

function stuck.deadlock()
  local left, right = proa.sync.mutex(), proa.sync.mutex()
  local function move(from, to)
    local out <close> = from:lock()
    proa.sleep(0.01)
    local into <close> = to:lock()
    return out, into
  end
  proa.spawn(move, left, right):name "to the right"
  proa.spawn(move, right, left):name "to the left"
end

function stuck.leak()
  local function answer()
    local result = proa.future() -- which nobody ever sets
    result:await()
  end
  proa.spawn(function()
    for _ = 1, 100 do proa.spawn(answer) end
    proa.channel(8):recv()
  end):name "server"
  ask_from_outside()
  proa.stop()
end

function stuck.connect()
  -- a listener that accepts nobody, and has room for one
  local listener <close> = assert(proa.fd.listen("127.0.0.1:0", 0))
  for i = 1, 2 do
    proa.spawn(function()
      local conn <close> = proa.net.connect(listener:address(),
        { timeout = 60 })
      proa.sleep(60)
      return conn
    end):name("client " .. i)
    proa.sleep(0.05)
  end
  ask_from_outside()
  proa.stop()
end

function stuck.hog()
  local watchdog <close> = proa.watchdog(0.1)
  proa.spawn(function()
    local start, sum = proa.now(), 0
    while proa.now() - start < 0.18 do sum = sum + 1 end
    return sum
  end):name("counts"):await()
  return watchdog
end

local run = stuck[arg[1]]
if not run or #arg > 1 then
  io.stderr:write "usage: stuck.lua deadlock|leak|hog|connect\n"
  os.exit(2, true)
end

proa.setup { dump_signal = "QUIT" }
local ok, message = pcall(proa.run, run)
if not ok then print(message) end
