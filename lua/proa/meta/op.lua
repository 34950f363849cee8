---@meta _
-- Raw operations: each submits one request and returns its future, whose
-- `await` gives what stands here as "result", or nil, message, code (CLOSED:
-- its descriptor was closed here meanwhile).
-- Descriptors are integers (borrowed) or fd objects. What is given stays alive
-- with the operation: a buffer is in use until it ends, a string is kept.
-- Streams and listeners do their own; a raw recv beside a stream on the same
-- descriptor takes bytes from it.
-- SPDX-License-Identifier: MIT

---@class proa.op
local op = {}

--- There and back. Result: true.
---@return proa.future
function op.nop() end

--- Result: true, after the time.
---@param seconds number
---@return proa.future
function op.timer(seconds) end

--- Wait until a descriptor is ready. Result: "r", "w" or "rw".
---@param fd integer|proa.fd
---@param events? "r"|"w"|"rw" default "r"
---@return proa.future
function op.ready(fd, events) end

--- Resolve a name, on a thread. Result: a list of addresses.
---@param host string
---@param service? string port or name of a service; default "0"
---@return proa.future
function op.resolve(host, service) end

--- Result: an fd object for one connection.
---@param fd integer|proa.fd
---@return proa.future
function op.accept(fd) end

--- Result: true. The address is not a name.
---@param fd integer|proa.fd
---@param address string
---@return proa.future
function op.connect(fd, address) end

--- Receive into a buffer, or its bytes i to j. Result: how many bytes; nil
--- alone at the end of stream.
---@param fd integer|proa.fd
---@param buffer proa.buffer
---@param i? integer default 1
---@param j? integer default -1
---@return proa.future
function op.recv(fd, buffer, i, j) end

--- Send all bytes of a string, or of a buffer those from i to j. Result: how
--- many.
---@param fd integer|proa.fd
---@param bytes proa.buffer a string takes no range
---@param i? integer default 1
---@param j? integer default -1
---@return proa.future
---@overload fun(fd: integer|proa.fd, bytes: string): proa.future
function op.send(fd, bytes, i, j) end

--- Send all strings of a list, in order. Result: how many bytes.
---@param fd integer|proa.fd
---@param parts string[] 1 to 64
---@return proa.future
function op.sendmsg(fd, parts) end

--- Result: true.
---@param fd integer|proa.fd
---@param how? "r"|"w"|"rw" default "rw"
---@return proa.future
function op.shutdown(fd, how) end

--- Close: its other operations are cancelled, and when they have ended the
--- descriptor goes. The fd object counts as closed at once. Result: true.
---@param fd integer|proa.fd
---@return proa.future
function op.close(fd) end

--- Read into a buffer, or its bytes i to j. Result: how many bytes; nil alone
--- at the end.
---@param fd integer|proa.fd
---@param buffer proa.buffer
---@param i? integer default 1
---@param j? integer default -1
---@param offset? integer in the file; default: its own position
---@return proa.future
function op.read(fd, buffer, i, j, offset) end

--- Write all bytes of a string, or of a buffer those from i to j. Result: how
--- many.
---@param fd integer|proa.fd
---@param bytes proa.buffer a string takes no range: write(fd, text, offset)
---@param i? integer default 1
---@param j? integer default -1
---@param offset? integer in the file; default: its own position
---@return proa.future
---@overload fun(fd: integer|proa.fd, bytes: string, offset: integer?): proa.future
function op.write(fd, bytes, i, j, offset) end

--- Open a file. Result: an fd object.
---@param path string
---@param mode? string as io.open's; "x" behind it: it must be new. Default "r"
---@param permissions? integer of a new file, before the umask; default 438 (0666)
---@return proa.future
function op.open(path, mode, permissions) end

--- Wait until the file's bytes are on the disk. Result: true.
---@param fd integer|proa.fd
---@param data_only? boolean not what only describes the file
---@return proa.future
function op.fsync(fd, data_only) end
