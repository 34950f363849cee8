--- misuse: raise an error that names the place where proa was called.
-- SPDX-License-Identifier: MIT

local here = debug.getinfo(1, "S").source:match "^(.*)misuse%.lua$" or "@"

--- The position is that of the first function outside of proa, however deep
-- inside of it the check is made.
---@param text string for string.format
return function(text, ...)
  local level = 2
  while true do
    local info = debug.getinfo(level, "S")
    if not info then break end
    if info.what ~= "C" and info.source:sub(1, #here) ~= here then break end
    level = level + 1
  end
  error(text:format(...), level)
end
