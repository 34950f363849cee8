--- proa.stdio: stdin, stdout and stderr as streams, made when first asked for.
-- SPDX-License-Identifier: MIT

local core = require "proa.core"

local numbers = { stdin = 0, stdout = 1, stderr = 2 }

return setmetatable({}, {
  __index = function(self, name)
    local n = numbers[name]
    if not n then return nil end
    local stream = assert(core.stdio(n))
    rawset(self, name, stream)
    return stream
  end,
})
