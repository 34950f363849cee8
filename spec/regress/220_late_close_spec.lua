--- A program that ended while a task of it was in process.run crashed: the
-- <close> variables of tasks run after the finalisers of handles.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"

describe("a program that ends", function()
  helper.it_main("while a task runs or holds a child ends as others", function()
    local output, status = helper.lua [[
      local proa = require "proa"
      proa.spawn(proa.process.run, { "sleep", 100 })
      proa.spawn(function()
        local p <close> = proa.process.spawn { "cat", stdin = "pipe" }
        local shown <close> = setmetatable({}, {
          __close = function()
            print((tostring(p):gsub("%d+", "N")), math.type(p.pid))
            local ok, message = pcall(p.wait, p, 0)
            print(ok, (message:gsub("^%S+%.lua:%d+: ", "")))
          end,
        })
        p:wait()
      end)
      proa.sleep(0)
      print "end"
    ]]
    assert.equal("end\nproa.process N (left)\tinteger\n"
      .. "false\tproa: this Lua state is closing\n", output)
    assert.equal(0, status)
  end)
end)
