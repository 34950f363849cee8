--- 387: a lock that waits raised "stream is closed" when the file was closed
-- meanwhile.
-- SPDX-License-Identifier: MIT

local core = require "proa.core"
local helper = require "spec.helper"
local proa = require "proa"

local it = helper.it

describe("a file that is closed while a lock is waited for", function()
  for what, had in pairs { ["that had none"] = false,
    ["that had a shared one"] = true } do
    it("says so to who waits, of one " .. what, function()
      local path = helper.temp_file("file", "")
      local file = assert(proa.fs.open(path))
      local other <close> = assert(proa.fs.open(path))
      if had then assert(file:lock "shared") end
      assert(other:lock(had and "shared" or "exclusive"))
      local sleep = core.sleep -- between its tries
      function core.sleep(seconds)
        core.sleep = sleep
        file:close()
        return sleep(seconds)
      end
      assert.same({ nil, ("lock %s: the file was closed"):format(path), "CLOSED" },
        { file:lock() })
      assert.equal(sleep, core.sleep)
    end)

    it("says which file it was when the limit has passed as well, of one "
      .. what, function()
      local path = helper.temp_file("file", "")
      local file = assert(proa.fs.open(path))
      local other <close> = assert(proa.fs.open(path))
      if had then assert(file:lock "shared") end
      assert(other:lock(had and "shared" or "exclusive"))
      local sleep = core.sleep
      function core.sleep(seconds)
        core.sleep = sleep
        local _ <close> = proa.defer(function() file:close() end)
        return sleep(60 + seconds)
      end
      assert.same({ nil, ("lock %s: timed out"):format(path), "TIMEOUT" },
        { file:lock("exclusive", 0.01) })
      assert.equal(sleep, core.sleep)
    end)
  end
end)
