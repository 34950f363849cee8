---@meta _
-- Files: streams that have a position. What is said of streams holds here as
-- well, and besides:
-- A write returns when it has been done, not when it is accepted, and its
-- failure is its own. It goes to the position and drops what was read ahead.
-- What uses the position is done one after the other, whole calls in the order
-- in which they came, also several reads. What is at an offset (`_at`) uses no
-- position, and runs beside all else.
-- The end of the file holds for the read that met it; the next one asks again.
-- Has <close> and __gc, which are close(). `peer`, `address`, `option`,
-- `shutdown`, `keep` and `try_write` are of streams only.
-- SPDX-License-Identifier: MIT

---@class proa.file : proa.stream
local file = {}

--- Read into a buffer, or into its bytes i to j, at the position. The buffer is
--- lent to the kernel where nothing is queued; it is in use until the operation
--- has ended, and usable again however it ended.
---@param buffer proa.buffer
---@param i? integer default 1
---@param j? integer default -1, the last
---@param timeout? number seconds
---@return integer? n bytes; nil alone at the end
---@return string? message
---@return string? code
function file:read_into(buffer, i, j, timeout) end

--- Read so many bytes at an offset, fewer at the end.
---@param offset integer
---@param n integer bytes
---@param timeout? number seconds
---@return string? data nil alone at the end
---@return string? message
---@return string? code
function file:read_at(offset, n, timeout) end

--- Read into a buffer, or into its bytes i to j, at an offset: no bytes are
--- copied. The buffer is in use until the operation has ended.
---@param offset integer
---@param buffer proa.buffer
---@param i? integer default 1
---@param j? integer default -1, the last
---@param timeout? number seconds
---@return integer? n bytes; nil alone at the end
---@return string? message
---@return string? code
function file:read_into_at(offset, buffer, i, j, timeout) end

--- Write at an offset: all of it, or it fails. Given up in between, a part may
--- be there. Of a file opened to be appended to, the kernel writes to the end.
---@param offset integer
---@param data string|proa.buffer in use until the operation has ended
---@param timeout? number seconds
---@return proa.file? itself
---@return string? message
---@return string? code ENOSPC ...
function file:write_at(offset, data, timeout) end

--- Read into several buffers, one after the other.
---@param buffers proa.buffer[] 1 to 64; in use until the operation has ended
---@param offset? integer default: at the position, which moves
---@return integer? n bytes; nil alone at the end
---@return string? message
---@return string? code
function file:readv(buffers, offset) end

--- Write several strings, one after the other.
---@param strings string[] 1 to 64
---@param offset? integer default: at the position, which moves
---@return integer? n bytes; fewer than all: the device is full
---@return string? message
---@return string? code
function file:writev(strings, offset) end

--- Go to a position, or tell it. What was read ahead or put back is dropped.
---@param whence? "set"|"cur"|"end" default "cur"
---@param offset? integer default 0
---@return integer? position from the start of the file
---@return string? message
---@return string? code ESPIPE: a pipe or a terminal has none
function file:seek(whence, offset) end

--- Make it so long: cut, or grown by a hole that reads as zeros. The position
--- stays.
---@param length integer
---@return proa.file? itself
---@return string? message
---@return string? code
function file:truncate(length) end

--- See to it that a part has its place on the disk, the file growing if need be;
--- or (hole) that it takes none and reads as zeros.
---@param offset integer
---@param n integer
---@param hole? boolean
---@return proa.file? itself
---@return string? message
---@return string? code ENOSPC, EOPNOTSUPP ...
function file:allocate(offset, n, hole) end

--- Wait until all that was written is on the disk.
---@return proa.file? itself
---@return string? message
---@return string? code EIO ...
function file:sync() end

--- The same without what only describes the file.
---@return proa.file? itself
---@return string? message
---@return string? code
function file:datasync() end

---@return proa.stat? stat
---@return string? message
---@return string? code
function file:stat() end

--- Lock it (flock(2)) against everybody who locks it as well, here or in another
--- process. It is asked for every 1 to 50 ms until it is free. Given up at
--- close. Who holds a shared lock and asks for an exclusive one holds none while
--- it waits, as with flock(2): others may have it in between, and change what
--- was read before. When it times out or is cancelled the shared lock is taken
--- again; where another is quicker the code is EBUSY, and no lock is held.
---@param how? "exclusive"|"shared" default "exclusive"
---@param timeout? number seconds; 0: only try
---@return proa.file? itself
---@return string? message
---@return string? code TIMEOUT; EBUSY: that, and the shared lock is lost; CLOSED
function file:lock(how, timeout) end

---@return proa.file? itself
---@return string? message
---@return string? code
function file:unlock() end

--- As of streams, from the position on. To a socket or another file the kernel
--- moves the bytes (sendfile(2), copy_file_range(2)); both are held meanwhile.
--- It has its turn among the reads of this file, as each of them has.
---@param to proa.stream|proa.file
---@param options? integer|{ max: integer?, timeout: number?, idle: number? } as
---  of streams
---@return integer? bytes that were copied
---@return string? message
---@return string? code
---@return integer? bytes that were copied before it failed
function file:copy_to(to, options) end

--- The path that it was opened by.
---@return string
function file:path() end

---@return integer
function file:fileno() end
