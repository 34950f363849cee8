-- run.lua - starts busted under the interpreter that runs this file.
--
-- The `busted` program of a distribution chooses its own interpreter, which
-- may be another Lua than the one proa was built for. spec/run calls this one:
--   lua5.4 spec/run.lua [busted's options]
-- SPDX-License-Identifier: MIT

require "busted.runner" { standalone = false }
