---@meta _
-- Descriptors for raw operations, and the proactor without tasks.
-- SPDX-License-Identifier: MIT

--- Makes descriptors, without waiting. Called as a function, `proa.fd(value)`,
--- it gives an object for a descriptor that somebody else owns, which is
--- borrowed: a number, a file of io.open, or an object with a method `fileno`,
--- `getfd` or `pollfd`, which is kept as long.
---@class proa.fd_module
---@overload fun(value: integer|file*|userdata|table): proa.fd
local fd_module = {}

--- Wait for the first of several objects of the protocol that cqueues has: with
--- the methods `pollfd` (a descriptor or nil), `events` ("r", "w", "rw" or nil)
--- and `timeout` (seconds or nil). One is ready when its descriptor is, or when
--- its timeout is over. What has no `pollfd` is waited for until it is readable.
---@param ... table|userdata|number objects; a number is a limit in seconds
---@return any ... the objects that are ready, in their order; nil: the limit
---  was over, followed by the message and TIMEOUT
function fd_module.poll(...) end

--- Two connected Unix sockets.
---@param kind? "stream"|"datagram" default "stream"
---@return proa.fd? a
---@return proa.fd|string b or the message
---@return string? code
function fd_module.pair(kind) end

---@return proa.fd? read_end
---@return proa.fd|string write_end or the message
---@return string? code
function fd_module.pipe() end

--- A socket of that address's family, not connected.
---@param address string
---@param kind? "stream"|"datagram" default "stream"
---@return proa.fd? fd
---@return string? message
---@return string? code
function fd_module.socket(address, kind) end

--- A listening socket.
---@param address string
---@param backlog? integer default 128
---@return proa.fd? fd
---@return string? message
---@return string? code
function fd_module.listen(address, backlog) end

--- A foreign descriptor: borrowed, never closed by proa, and to be kept open
--- while operations use it.
---@param n integer
---@return proa.fd
function fd_module.wrap(n) end

--- A descriptor. Has <close> and __gc, which are close().
---@class proa.fd
local fd = {}

---@return integer
function fd:fileno() end

--- Cancel its operations; the descriptor is closed when they have ended, unless
--- it is borrowed. Returns at once.
function fd:close() end

--- Give a socket an address, before it listens, connects or receives.
---@param address string
---@param reuse? boolean set SO_REUSEADDR before
---@param reuse_port? boolean set SO_REUSEPORT before
---@return proa.fd? itself
---@return string? message
---@return string? code EADDRINUSE, EACCES, EINVAL: it has one
function fd:bind(address, reuse, reuse_port) end

---@return string? address of this end
---@return string? message
---@return string? code
function fd:address() end

---@return string? address of the other end
---@return string? message
---@return string? code
function fd:peer() end

--- Wait until it is ready: for a library that reads and writes itself.
---@param events "r"|"w"|"rw"
---@param timeout? number seconds
---@return "r"|"w"|"rw"|nil ready an end or an error counts as readable
---@return string? message
---@return string? code TIMEOUT, CLOSED: this object was closed ...
function fd:wait(events, timeout) end

---@param timeout? number seconds
---@return true? ready
---@return string? message
---@return string? code as of wait
function fd:readable(timeout) end

---@param timeout? number seconds
---@return true? ready
---@return string? message
---@return string? code as of wait
function fd:writable(timeout) end

--- Set the size of the kernel's send buffer, to see a send wait.
---@param n integer bytes
---@return proa.fd? itself
---@return string? message
---@return string? code
function fd:send_buffer(n) end

---@class proa.proactor_module
local proactor_module = {}

--- A proactor of one's own, without tasks: for experiments and for learning. It
--- blocks the thread while it polls. It keeps the driver of the runtime unless
--- told otherwise.
---@param options? proa.setup_options without patch_coroutines
---@return proa.proactor? proactor
---@return string? message
---@return string? code
function proactor_module.new(options) end

--- Has <close> and __gc, which are close().
---@class proa.proactor
local proactor = {}

--- Let a descriptor take part; it stays its owner's.
---@param n integer
---@return proa.fd? fd for this proactor's operations
---@return string? message
---@return string? code
function proactor:attach(n) end

--- Submit an operation of `proa.op`, except close. A buffer is in use until the
--- operation has ended.
---@param name string
---@param ... any its arguments
---@return "ready"|"pending" state
---@return any ... its results when ready, as of proa.op; else its key
function proactor:push(name, ...) end

--- Wait until something has ended; raises when nothing is under way and there
--- is no limit.
---@param timeout? number seconds; default: none; 0: only look
---@return integer[]? keys that became ready; none when the time was up
---@return string? message
---@return string? code
function proactor:poll(timeout) end

--- The results of an operation, once; raises for a key that was popped.
---@param key integer
---@return "ready"|"pending" state
---@return any ... its results, or the key
function proactor:pop(key) end

--- Ask an operation to end; the answer is what `pop` gives.
---@param key integer
function proactor:cancel(key) end

--- Cancel and wait for what is under way, at most 2 s; buffers are back.
function proactor:close() end

---@return "uring"|"poll"|"sim"
function proactor:driver() end
