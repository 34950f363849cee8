---@meta _
-- Buffers: bytes that operations can borrow.
-- While an operation has a buffer, every access here raises "buffer is in use
-- by read"; it comes back with the operation's result, also when that was
-- cancelled. Positions are those of the string library: from 1, negative from
-- the end.
-- SPDX-License-Identifier: MIT

---@class proa.buffer
---@operator len: integer
local buffer = {}

--- A copy of its bytes as a string.
---@param i? integer default 1
---@param j? integer default -1
---@return string
function buffer:string(i, j) end

--- The values of its bytes, as string.byte; nothing where there are none.
---@param i? integer default 1
---@param j? integer default i
---@return integer ...
function buffer:byte(i, j) end

--- A new buffer with a copy of these bytes.
---@param i? integer default 1
---@param j? integer default -1
---@return proa.buffer
function buffer:slice(i, j) end

--- Add bytes at the end.
---@param ... string|proa.buffer
---@return proa.buffer itself
function buffer:append(...) end

--- Overwrite bytes from position i on; raises when they do not fit.
---@param i integer
---@param bytes string
---@return proa.buffer itself
function buffer:set(i, bytes) end

--- Change its length; what is new is zero.
---@param n integer bytes
---@return proa.buffer itself
function buffer:resize(n) end

--- Append what string.pack gives.
---@param format string
---@param ... any
---@return proa.buffer itself
function buffer:pack(format, ...) end

--- As string.unpack on the bytes from i on.
---@param format string
---@param i? integer default 1
---@return any ... the values, then the position behind them
function buffer:unpack(format, i) end
