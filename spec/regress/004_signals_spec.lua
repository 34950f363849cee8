--- A signal that came while nobody waited for it any more.
-- Symptom: it stayed pending and woke those who waited for another signal, for
-- nothing, at every turn of the loop.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"

describe("a signal that nobody waits for at the moment", function()
  helper.it_main("leaves who waits for another one asleep, and is kept",
    function()
      local output, status = helper.lua([[
        local proa = require "proa"
        proa.run(function()
          local first = proa.spawn(proa.signal.wait, "USR1")
          proa.yield()
          first:cancel()
          first:await()
          os.execute("kill -USR1 $PPID")
          local other = proa.spawn(proa.signal.wait, "USR2")
          proa.yield()
          local before = proa.stats().resumes
          for _ = 1, 50 do proa.sleep(0.0005) end -- at least as many turns
          print(proa.stats().resumes - before <= 60)
          os.execute("kill -USR2 $PPID")
          print(other:await())
          print(proa.signal.wait "USR1")
        end)
      ]])
      assert.equal("true\nUSR2\nUSR1\n", output)
      assert.equal(0, status)
    end)
end)
