---@meta _
-- Listeners: sockets that wait for clients.
-- SPDX-License-Identifier: MIT

--- Who listens for streams; made by `proa.net.listen`. A client that comes
--- while nobody waits, or while the one who waited gives up, is parked and
--- served by the next accept; at most 256 are. Has <close> and __gc, which are
--- close().
---@class proa.listener
local listener = {}

--- The next client.
---@param timeout? number seconds; default: none; 0: only who is there
---@return proa.stream? stream the caller's to close
---@return string? message
---@return string? code TIMEOUT, CLOSED, EMFILE ...
function listener:accept(timeout) end

--- Iterate over clients until the listener is closed: `for conn in
--- listener:incoming() do`. Waits out a lack of descriptors or memory, raises
--- other errors. The streams are the caller's to close.
---@return fun(): proa.stream?
function listener:incoming() end

--- Handle each client in a task of its own until the listener is closed. The
--- stream is closed when the handler returns; its error is reported to
--- `proa.on_error` and ends neither serve nor `run`.
---@param handler fun(conn: proa.stream)
function listener:serve(handler) end

--- Where it listens, as `connect` takes it: the port that ":0" was given.
---@return string? address
---@return string? message
---@return string? code
function listener:address() end

--- Close: who waits gets CLOSED, who is parked is closed and counted in
--- `proa.stats().accepts_dropped`.
function listener:close() end

--- How many clients are parked.
---@return integer
function listener:parked() end

--- Was it closed?
---@return boolean
function listener:closed() end
