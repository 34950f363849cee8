--- shell.lua: how the benchmark runs commands and reads small files.
-- SPDX-License-Identifier: MIT

local shell = {}

function shell.quote(word)
  return "'" .. tostring(word):gsub("'", "'\\''") .. "'"
end

--- What a command prints, both outputs, and whether its status was 0.
---@param words string[]
---@return string output, boolean ok
function shell.run(words)
  local quoted = {}
  for i, word in ipairs(words) do quoted[i] = shell.quote(word) end
  local pipe = assert(io.popen(table.concat(quoted, " ") .. " 2>&1 </dev/null"))
  local output = pipe:read "a"
  return output, pipe:close() == true
end

--- The first line of what a command prints; nil when it fails or prints none.
function shell.line(...)
  local output, ok = shell.run { ... }
  return ok and output:match "^[^\n]+" or nil
end

--- A file's content; "" when there is none.
function shell.read(path)
  local file <close> = io.open(path)
  return file and file:read "a" or ""
end

return shell
