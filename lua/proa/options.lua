--- Checks of option tables, shared by the modules beside this one.
-- A key that is not known raises, in the name of who was called: a misspelt
-- limit is no limit.
-- SPDX-License-Identifier: MIT

local core = require "proa.core"
local misuse = require "proa.misuse"

local options = {}

--- Raises unless `given` is a table. Where nobody has called but a task runs
-- the function itself, a number came from map or each most likely.
function options.check_table(given, who)
  if type(given) == "table" then return end
  local _, called = core.where()
  local indexed = not called and math.type(given) == "integer"
  misuse("%s: a table of options expected, got %s%s", who, type(given),
    indexed and " (map and each pass the index behind the value: give them a"
      .. " function(value) that calls this one)" or "")
end

--- A value for a message: a string is not to look like a number.
function options.shown(value)
  if type(value) == "string" then return ("%q"):format(value) end
  return tostring(value)
end

--- Raises unless `given` is a table with none but these keys.
function options.check(given, known, who)
  options.check_table(given, who)
  for key in pairs(given) do
    if not known[key] then
      misuse("%s: unknown option '%s'", who, tostring(key))
    end
  end
end

--- Raises unless the value is nil or an integer from min to max.
function options.integer(who, key, value, min, max)
  if value == nil then return end
  if math.type(value) ~= "integer" or value < min or value > max then
    misuse("%s: %s: an integer of %d to %d expected, got %s", who, key, min,
      max, options.shown(value))
  end
end

--- Raises unless the value is nil or of that type; `what`: how it is called.
function options.typed(who, key, value, kind, what)
  if value ~= nil and type(value) ~= kind then
    misuse("%s: %s: a %s expected, got %s", who, key, what or kind,
      type(value))
  end
end

--- Permissions as an integer (0x1B0) or in octal digits ("660"); nil stays.
function options.mode(who, mode)
  if mode == nil then return nil end
  local bits = mode
  if type(mode) == "string" and mode:find "^0?[0-7][0-7][0-7]$" then
    bits = tonumber(mode, 8)
  end
  if math.type(bits) ~= "integer" or bits < 0 or bits > 511 then
    misuse("%s: mode: octal digits like \"660\" or an integer of 0 to 511"
      .. " expected, got %s", who, tostring(mode))
  end
  return bits
end

return options
