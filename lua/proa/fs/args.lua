--- Arguments of proa.fs: paths, options, permissions, limits.
-- SPDX-License-Identifier: MIT

local core = require "proa.core"

local args = {}

--- Raises for keys that are not known, and for a limit that is no number.
function args.options(verb, options, known)
  if options == nil then return {} end
  if type(options) ~= "table" then
    error(("%s: a table of options expected, got %s"):format(verb,
      type(options)), 3)
  end
  for key in pairs(options) do
    if key ~= "timeout" and not known[key] then
      error(("%s: unknown option '%s'"):format(verb, tostring(key)), 3)
    end
  end
  if options.timeout ~= nil and type(options.timeout) ~= "number" then
    error(verb .. ": timeout: a number of seconds expected", 3)
  end
  return options
end

function args.path(verb, path)
  if type(path) ~= "string" then
    error(("%s: a path is a string, got %s"):format(verb, type(path)), 3)
  end
  if path:find("\0", 1, true) then
    error(verb .. ": a path has no zero bytes", 3)
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
    error(("%s: permissions: octal digits like \"644\" or an integer of 0 to"
      .. " 4095 expected, got %s"):format(verb, tostring(value)), 3)
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
