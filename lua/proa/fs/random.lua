--- Names that nobody else is likely to take, for temporary files. Whoever makes
-- one asks for a new file, so a name that is taken costs another try, no more.
-- Does not touch the sequence of math.random, which is the script's.
-- SPDX-License-Identifier: MIT

local core = require "proa.core"

local DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"

local state

--- The next of a sequence (xorshift64*), which starts somewhere else in every
-- process.
local function next_number()
  if not state then
    local where = tonumber(("%p"):format({}):match "%x+$", 16) or 0
    state = where ~ os.time() << 20 ~ math.floor(core.now() * 1e9) ~ 88172645463
    if state == 0 then state = 1 end
  end
  state = state ~ (state >> 12)
  state = state ~ (state << 25)
  state = state ~ (state >> 27)
  return (state * 0x2545F4914F6CDD1D) >> 1
end

return function()
  local n, text = next_number(), {}
  for i = 1, 10 do
    local digit = n % 36 + 1
    text[i], n = DIGITS:sub(digit, digit), n // 36
  end
  return table.concat(text)
end
