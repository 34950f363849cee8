--- example.lua: to run the examples, and what they promise; for their specs.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"

local example = {}

--- The lines below "Prints" in an example's first comment.
---@param name string without directory and ending
function example.promised(name)
  local source = helper.read_file("examples/" .. name .. ".lua")
  local header = source:match "^(.-)%-%- SPDX"
  local lines = header:match "%-%- Prints[^\n]*:\n(.*)"
  return (lines:gsub("%-%-   ", ""):gsub("%-%- [^\n]*\n", ""))
end

--- Run an example in a process of its own, with arguments.
---@return string output, integer status
function example.run(name, ...)
  local words = table.pack(...)
  for i, word in ipairs(words) do words[i] = ("%q"):format(word) end
  return helper.lua(("arg = { [0] = 'x', %s }\ndofile 'examples/%s.lua'")
    :format(table.concat(words, ", "), name))
end

return example
