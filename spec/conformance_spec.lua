--- conformance_spec: every op behaves alike on every driver.
-- One row for each op, one column for each way it can end; the rows are in
-- spec/conformance/. A column that does not apply to an op is a text there
-- that says why. In the simulation sockets are virtual, files and pipes real.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"

local columns = {
  { "success", "gives its result" },
  { "short", "tells how much when it is less than asked" },
  { "eof", "gives the end of the stream" },
  { "error", "gives nil, a message and the code" },
  { "before", "is cancelled before it completes" },
  { "after", "keeps its result when the cancel comes after it" },
  { "close", "ends when its descriptor is closed under it" },
}

local rows = {}
for _, part in ipairs { "sys", "net", "bytes", "file", "path", "message",
  "multishot" } do
  for name, row in pairs(require("spec.conformance." .. part)) do
    assert(not rows[name], name .. " has two rows")
    rows[name] = row
  end
end

local function sorted(set)
  local names = {}
  for name in pairs(set) do names[#names + 1] = name end
  table.sort(names)
  return names
end

for _, name in ipairs(sorted(rows)) do
  describe(name, function()
    for _, column in ipairs(columns) do
      local cell = rows[name][column[1]]
      if type(cell) == "function" then helper.it(column[2], cell) end
    end
  end)
end

describe("the conformance table", function()
  helper.it_main("has a row for every op", function()
    for _, name in ipairs(sorted(proa.op)) do
      assert.is_table(rows[name], name .. " has no row")
    end
  end)

  helper.it_main("says for every op and column what happens or why not", function()
    for _, name in ipairs(sorted(rows)) do
      for _, column in ipairs(columns) do
        local kind = type(rows[name][column[1]])
        assert.is_true(kind == "function" or kind == "string",
          ("%s has no column '%s'"):format(name, column[1]))
      end
    end
  end)
end)
