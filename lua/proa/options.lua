--- Checks of option tables, shared by the modules beside this one.
-- A key that is not known raises, in the name of who was called: a misspelt
-- limit is no limit.
-- SPDX-License-Identifier: MIT

local options = {}

--- Raises unless `given` is a table with none but these keys. `level`: whose
-- fault it is, as error() has it, seen from the caller.
function options.check(given, known, who, level)
  if type(given) ~= "table" then
    error(("%s: a table of options expected, got %s"):format(who,
      type(given)), (level or 2) + 1)
  end
  for key in pairs(given) do
    if not known[key] then
      error(("%s: unknown option '%s'"):format(who, tostring(key)),
        (level or 2) + 1)
    end
  end
end

--- Raises unless the value is nil or an integer from min to max.
function options.integer(who, key, value, min, max, level)
  if value == nil then return end
  if math.type(value) ~= "integer" or value < min or value > max then
    error(("%s: %s: an integer of %d to %d expected, got %s"):format(who, key,
      min, max, tostring(value)), (level or 2) + 1)
  end
end

--- Raises unless the value is nil or of that type.
function options.typed(who, key, value, kind, level)
  if value ~= nil and type(value) ~= kind then
    error(("%s: %s: a %s expected, got %s"):format(who, key, kind,
      type(value)), (level or 2) + 1)
  end
end

--- Permissions as an integer (0x1B0) or in octal digits ("660"); nil stays.
function options.mode(who, mode, level)
  if mode == nil then return nil end
  local bits = mode
  if type(mode) == "string" and mode:find "^0?[0-7][0-7][0-7]$" then
    bits = tonumber(mode, 8)
  end
  if math.type(bits) ~= "integer" or bits < 0 or bits > 511 then
    error(("%s: mode: octal digits like \"660\" or an integer of 0 to 511"
      .. " expected, got %s"):format(who, tostring(mode)), (level or 2) + 1)
  end
  return bits
end

return options
