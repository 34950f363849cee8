---@meta _
-- Listeners: sockets that wait for clients.
-- SPDX-License-Identifier: MIT

--- Who listens for streams; made by `proa.net.listen`. A client that comes
--- while nobody waits, or while the one who waited gives up, is parked and
--- served by the next accept. When 256 are parked, accepting stops (io_uring
--- has then accepted all who had come); the kernel's backlog holds the others.
--- Has <close> and __gc, which are close().
---@class proa.listener
local listener = {}

--- The next client.
---@param timeout? number seconds; default: none; 0: only who is there
---@return proa.stream? stream the caller's to close
---@return string? message
---@return string? code TIMEOUT, CLOSED, EMFILE ...
function listener:accept(timeout) end

--- Iterate over clients until the listener is closed: `for conn in
--- listener:incoming() do`. Each step accepts one client and no more, so a slow
--- loop leaves the others in the kernel's backlog. Waits out a lack of
--- descriptors or memory, raises other errors. The streams are the caller's to
--- close; `break` leaves the listener open.
---@return fun(): proa.stream?
function listener:incoming() end

--- Handle each client in a task of its own until the listener is closed. The
--- stream is closed when the handler returns or fails, unless it has called
--- `conn:keep()`; its error is reported to `proa.on_error` and ends neither
--- serve nor `run`. A lack of descriptors or memory is waited out.
--- Returns at once when the listener is closed; handlers go on, and those who
--- had been accepted until then are still served.
---@param handler fun(conn: proa.stream)
---@param options? proa.serve_options unknown keys raise
function listener:serve(handler, options) end

---@class proa.serve_options
---@field max? integer handlers at once; the next client is accepted when one
---  has ended, the kernel's backlog holds the others. Default: no limit
---@field idle? number seconds: `conn:timeout{idle=}` of each connection. Default:
---  no limit. A handler that it ends (`lines` raises, or an `assert`) is not
---  reported but counted (`proa.stats().served_idle`) and logged for debugging

--- Where it listens, as `connect` takes it: the port that ":0" was given.
---@return string? address
---@return string? message
---@return string? code
function listener:address() end

--- Close: who waits gets CLOSED. Who is parked is left to `serve` if it runs,
--- else closed and counted in `proa.stats().accepts_dropped`. A Unix path is
--- removed if it is still the one that this listener made.
function listener:close() end

--- Close, and wait until `serve` has returned and every handler has ended.
---@param timeout? number seconds
---@return boolean? drained true
---@return string? message "drain: timed out, with 3 being served"
---@return string? code TIMEOUT; CANCELLED
function listener:drain(timeout) end

--- Close, cancel every handler of `serve` and drop its connection: the client
--- sees a reset. Returns at once.
function listener:abort() end

--- How many clients are parked.
---@return integer
function listener:parked() end

--- Was it closed?
---@return boolean
function listener:closed() end
