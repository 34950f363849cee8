--- Arguments of proa.fs: paths, options, permissions, limits.
-- SPDX-License-Identifier: MIT

local checks = require "proa.options"
local core = require "proa.core"
local misuse = require "proa.misuse"

local args = {}

--- Raises for keys that are not known, and for a limit that is no number.
function args.options(verb, options, known)
  if options == nil then return {} end
  checks.check_table(options, verb)
  for key in pairs(options) do
    if key ~= "timeout" and not known[key] then
      misuse("%s: unknown option '%s'", verb, tostring(key))
    end
  end
  if options.timeout ~= nil and type(options.timeout) ~= "number" then
    misuse("%s: timeout: a number of seconds expected", verb)
  end
  return options
end

function args.path(verb, path)
  if type(path) ~= "string" then
    misuse("%s: a path is a string, got %s", verb, type(path))
  end
  if path:find("\0", 1, true) then
    misuse("%s: a path has no zero bytes", verb)
  end
end

--- Permissions as an integer (0x1B0) or in octal digits ("660").
function args.permissions(verb, value, otherwise)
  if value == nil then return otherwise end
  local n = value
  if type(value) == "string" and value:find "^[0-7]+$" then
    n = tonumber(value, 8)
  end
  if math.type(n) ~= "integer" or n < 0 or n > 4095 then
    misuse("%s: permissions: octal digits like \"644\" or an integer of 0 to"
      .. " 4095 expected, got %s", verb, tostring(value))
  end
  return n
end

--- fn's results, within the limit of the options.
function args.within(options, verb, path, fn, ...)
  if not options.timeout then return fn(...) end
  local value, message, code = core.timeout(options.timeout, fn, ...)
  if value == nil and code == "TIMEOUT" then
    message = ("%s %s: timed out"):format(verb, path)
  end
  return value, message, code
end

return args
