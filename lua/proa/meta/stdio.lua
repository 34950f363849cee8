---@meta _
-- The standard streams, and what a stream over a terminal can do.
-- SPDX-License-Identifier: MIT

--- Made when first asked for. What stands at 0, 1 and 2 is shared with the
--- shell and with children: its flags are not changed, and stdin takes only
--- what somebody here waits for (up to what is there at once), so that a child
--- with `stdin = "inherit"` finds the rest (a read that was given up may still
--- take what comes before its cancel, at the next wait, has reached it).
--- Closing one of them leaves the
--- number open, for print and io. What was written is gone when the program
--- ends, also by os.exit (for at most a second then). One that was closed when
--- the program began fails with EBADF.
---@class proa.stdio
---@field stdin proa.stream
---@field stdout proa.stream not in step with io.stdout, which has a buffer of
---  its own
---@field stderr proa.stream
local stdio = {}

--- A terminal in raw mode; <close>, __gc and the end of the program put it back
--- as it was, also os.exit and every signal that would kill and can be caught.
---@class proa.raw
local raw = {}

--- Put the terminal back. Idempotent.
function raw:close() end
