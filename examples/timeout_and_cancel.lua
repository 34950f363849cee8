-- timeout_and_cancel.lua - giving up, without losing anything.
--
--   lua5.4 examples/timeout_and_cancel.lua
--
-- Shows a limit on any function, cancelling a task and what it sees of that,
-- cleaning up under a shield, and an accept raced against a timeout: the
-- client who comes late is not lost, the next accept serves it.
--
-- Prints:
--   a limit: timed out (TIMEOUT)
--   the task notices: cancelled: no longer needed
--   the task cleans up, and that may wait
--   who awaits it: the task was cancelled: no longer needed (CANCELLED)
--   nobody came: accept: timed out (TIMEOUT)
--   the late client says: better late than never
-- SPDX-License-Identifier: MIT

local proa = require "proa"

local function a_limit()
  local _, message, code = proa.timeout(0.05, proa.sleep, 60)
  print(("a limit: %s (%s)"):format(message, code))
end

local function a_cancelled_task()
  local task = proa.spawn(function()
    -- The cancellation is an error, raised where the task waits. Who catches
    -- it may look at it, clean up, and lets it go on.
    local ok, err = pcall(proa.sleep, 60)
    assert(not ok and proa.is_cancelled(err))
    print("the task notices: " .. tostring(err))
    proa.shield(function() -- without it, this wait would raise again
      proa.sleep(0.01)
      print "the task cleans up, and that may wait"
    end)
    error(err, 0)
  end)
  proa.sleep(0.05)
  task:cancel "no longer needed"
  -- Awaiting what was cancelled is not being cancelled.
  local _, message, code = task:await()
  print(("who awaits it: %s (%s)"):format(message, code))
end

local function a_late_client()
  local listener <close> = assert(proa.net.listen "127.0.0.1:0")
  local conn, message, code = listener:accept(0.05)
  assert(not conn)
  print(("nobody came: %s (%s)"):format(message, code))

  local client <close> = assert(proa.net.connect(listener:address()))
  client:write "better late than never\n"
  proa.sleep(0.05) -- by now the kernel has long completed an accept for it

  local late <close> = assert(listener:accept(1))
  print("the late client says: " .. late:read "l")
end

proa.run(function()
  a_limit()
  a_cancelled_task()
  a_late_client()
end)
