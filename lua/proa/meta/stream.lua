---@meta _
-- Streams: connected sockets as two queues of bytes.
-- Any task may use any stream; at most one reads at a time. Reads are
-- transactions: one that times out, is cancelled or fails consumes nothing.
-- Bytes that have arrived come before an error. Has <close> and __gc, which
-- are close().
-- SPDX-License-Identifier: MIT

---@class proa.stream
local stream = {}

--- Read as Lua's files do. "l" a line without its newline, "L" with it (both
--- at most 1 MiB, else code LIMIT), "a" all to the end of stream, a number: so
--- many bytes, fewer only at the end of stream. "*l" and the like are taken.
--- Raises while another task reads.
---@param what? "l"|"L"|"a"|integer default "l"
---@param max? integer bytes, for "a"; more: code LIMIT. Default: no limit
---@return string? data nil alone at the end of stream ("" for "a")
---@return string? message
---@return string? code TIMEOUT, LIMIT, CLOSED, ECONNRESET ...
function stream:read(what, max) end

--- Read what there is: at least one byte.
---@param max? integer bytes; default 65536
---@return string? data nil alone at the end of stream
---@return string? message
---@return string? code
function stream:read_some(max) end

--- Read exactly so many bytes.
---@param n integer
---@return string? data
---@return string? message
---@return string? code EOF when the stream ends before; the bytes stay queued
function stream:read_exact(n) end

--- Read what there is into a buffer, or into its bytes i to j. While this
--- waits the buffer is in use; it is usable again however the read ended.
---@param buffer proa.buffer
---@param i? integer default 1
---@param j? integer default -1, the last
---@return integer? n bytes; nil alone at the end of stream
---@return string? message
---@return string? code
function stream:read_into(buffer, i, j) end

--- Write. All of it is accepted, or nothing; what is accepted goes out in
--- order, behind earlier calls, even if this task is cancelled while it waits.
--- Waits only while more than 64 KiB are on their way. An error of an earlier
--- write is returned here. Raises after shutdown.
---@param ... string|number|proa.buffer
---@return proa.stream? itself
---@return string? message
---@return string? code TIMEOUT, CLOSED, EPIPE, ECONNRESET ...
function stream:write(...) end

--- Wait until the kernel has taken all that was accepted.
---@return proa.stream? itself
---@return string? message
---@return string? code also of an earlier write, once
function stream:flush() end

--- Tell the peer, behind what was accepted, that nothing more will come. Waits
--- as flush. Reading goes on.
---@param how? "w"
---@return proa.stream? itself
---@return string? message
---@return string? code
function stream:shutdown(how) end

--- Close. Returns at once: whoever waits gets CLOSED, and what was accepted
--- goes out in the background. Again: nothing happens.
---@param linger? number seconds that may take; default 5
---@return true? ok
---@return string? message of an earlier write that nobody was told of
---@return string? code
function stream:close(linger) end

--- Close and drop what was not sent; a TCP peer sees a reset.
function stream:abort() end

--- Limits of each read and each write, flush or shutdown from now on.
---@param limits { read: number?, write: number? } seconds; math.huge: none, the
---  default; unknown keys raise
---@return proa.stream itself
function stream:timeout(limits) end

--- Called by a handler of `serve`: the connection stays open when the handler
--- returns, and is whoever's it was given to. Elsewhere it does nothing.
---@return proa.stream itself
function stream:keep() end

--- The address of this end.
---@return string? address
---@return string? message
---@return string? code
function stream:address() end

--- The address of the other end, as `connect` takes it.
---@return string? address
---@return string? message
---@return string? code
function stream:peer() end

--- Was it closed here?
---@return boolean
function stream:closed() end

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
