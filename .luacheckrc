-- luacheck's rules: Lua 5.4, no globals of our own anywhere.
-- SPDX-License-Identifier: MIT
std = "lua54"
max_line_length = 100
self = false
files["spec"] = { std = "+busted" }
-- annotations only: declared functions have no bodies
files["lua/proa/meta"] = { ignore = { "211", "212", "241" } }
exclude_files = { "build" }
