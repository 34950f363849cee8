--- misuse: raise an error that names the place where proa was called.
-- The position is that of the first function outside of proa, however deep
-- inside of it the check is made (csrc/lua_raise.h).
-- SPDX-License-Identifier: MIT

local core = require "proa.core"

core.own_code(debug.getinfo(1, "S").source)

---@param text string as it is, or with further arguments for string.format
return function(text, ...)
  if select("#", ...) > 0 then text = text:format(...) end
  error(core.where() .. text, 0)
end
