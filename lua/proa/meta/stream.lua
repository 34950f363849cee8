---@meta _
-- Streams: connected sockets, or anything else, as two queues of bytes.
-- Any task may use any stream; at most one reads at a time, and writers queue.
-- Reads are transactions: one that times out, is cancelled or fails consumes
-- nothing. Bytes that have arrived come before an error. Has <close> and __gc,
-- which are close().
-- What waits, waits as long as `timeout` lets it; a last argument `timeout`,
-- in seconds, says it for one call. An option key that is not known raises.
-- SPDX-License-Identifier: MIT

---@class proa.stream
local stream = {}

--- Read as Lua's files do. "l" a line without its newline, "L" with it (both
--- at most 1 MiB, else code LIMIT), "a" all to the end of stream, a number: so
--- many bytes, fewer only at the end of stream. "*l" and the like are taken.
--- Raises while another task reads.
---@param what? "l"|"L"|"a"|integer default "l"
---@param options? integer|{ max: integer?, timeout: number? } max: bytes of a
---  line (1 MiB) or of all (no limit), more: code LIMIT, and nothing is
---  consumed; an integer is max; timeout: seconds
---@return string? data nil alone at the end of stream ("" for "a")
---@return string? message
---@return string? code TIMEOUT, LIMIT, CLOSED, ECONNRESET ...
function stream:read(what, options) end

--- Read what there is: at least one byte.
---@param max? integer bytes; default 65536
---@param timeout? number seconds
---@return string? data nil alone at the end of stream
---@return string? message
---@return string? code
function stream:read_some(max, timeout) end

--- Read exactly so many bytes.
---@param n integer
---@param timeout? number seconds
---@return string? data
---@return string? message
---@return string? code EOF when the stream ends before; the bytes stay queued
function stream:read_exact(n, timeout) end

--- Read what there is into a buffer, or into its bytes i to j. While this
--- waits the buffer is in use; it is usable again however the read ended.
---@param buffer proa.buffer
---@param i? integer default 1
---@param j? integer default -1, the last
---@param timeout? number seconds
---@return integer? n bytes; nil alone at the end of stream
---@return string? message
---@return string? code
function stream:read_into(buffer, i, j, timeout) end

--- Read up to a delimiter, which is plain text; it is consumed and not
--- returned.
---@param delimiter string not empty
---@param options? integer|{ max: integer?, timeout: number? } max: bytes before
---  the delimiter, 1 MiB, more: code LIMIT; an integer is max; timeout: seconds
---@return string? data nil alone at the end of stream
---@return string? message
---@return string? code EOF: the stream ends without the delimiter; what came
---  stays queued
function stream:read_until(delimiter, options) end

--- What the next read will begin with; it stays queued.
---@param n? integer bytes, fewer only at the end of stream; default: what there
---  is, at least one
---@param timeout? number seconds
---@return string? data nil alone at the end of stream
---@return string? message
---@return string? code
function stream:peek(n, timeout) end

--- Put bytes back: the next read begins with them. Does not wait.
---@param data string|proa.buffer
---@return proa.stream itself
function stream:unread(data) end

--- Iterate over lines, to the end of stream: `for line in conn:lines() do`.
--- Raises on errors. A break leaves the stream open.
---@param what? "l"|"L" default "l": without the newline
---@param options? integer|{ max: integer?, timeout: number? } as of read
---@return fun(): string?
function stream:lines(what, options) end

--- Iterate over what comes, as it comes, to the end of stream. Raises on
--- errors. A break leaves the stream open.
---@param max? integer bytes of each, at least 1; default 65536
---@param timeout? number seconds for each
---@return fun(): string?
function stream:chunks(max, timeout) end

--- Copy what comes to another stream, to the end of this one: from queue to
--- queue, no faster than it is taken. Neither stream is closed or shut down.
--- Cancelled or failing in between it has lost no byte: what was not accepted
--- by the other stays here.
---@param to proa.stream
---@param options? { max: integer?, timeout: number?, idle: number? } max: bytes,
---  no limit; timeout: seconds for all of it; idle: seconds in which a byte
---  must move, on either stream and in any direction (default: the shorter one
---  of theirs)
---@return integer? bytes that were copied
---@return string? message
---@return string? code
---@return integer? bytes that were copied before it failed
function stream:copy_to(to, options) end

--- Write. All of it is accepted, or nothing; what is accepted goes out in
--- order, behind earlier calls, even if this task is cancelled while it waits.
--- Waits only while more than 64 KiB are on their way. An error of an earlier
--- write is returned here. Raises after shutdown.
---@param ... string|number|proa.buffer
---@return proa.stream? itself
---@return string? message
---@return string? code TIMEOUT, CLOSED, EPIPE, ECONNRESET ...
function stream:write(...) end

--- Write without waiting, where no task may wait: all of it is accepted, or
--- nothing.
---@param ... string|number|proa.buffer
---@return proa.stream? itself
---@return string? message
---@return string? code EAGAIN: there is no room now; EPIPE ...
function stream:try_write(...) end

--- Wait until the kernel has taken all that was accepted.
---@param timeout? number seconds
---@return proa.stream? itself
---@return string? message
---@return string? code also of an earlier write, once
function stream:flush(timeout) end

--- Tell the peer, behind what was accepted, that nothing more will come. Waits
--- as flush. Reading goes on.
---@param how? "w"
---@param timeout? number seconds
---@return proa.stream? itself
---@return string? message
---@return string? code
function stream:shutdown(how, timeout) end

--- Close. Returns at once: whoever waits gets CLOSED, and what was accepted
--- goes out in the background. Where it can't (the time is over, a send has
--- failed) a TCP peer sees a reset, ECONNRESET, and no end of stream: what it
--- got is not all. Unix sockets and pipes have no way to say so. Again: nothing
--- happens.
---@param linger? number seconds that may take; default 5
---@return true? ok
---@return string? message of an earlier write that nobody was told of
---@return string? code
function stream:close(linger) end

--- Close and drop what was not sent; a TCP peer sees a reset.
function stream:abort() end

--- Limits from now on, in seconds; math.huge: none, the default. `read` and
--- `write` are for the whole of a call (a flush and a shutdown are writes);
--- `idle` is the time in which a byte must move, in any direction, while a call
--- waits. What runs out is TIMEOUT.
---@param limits { read: number?, write: number?, idle: number? } unknown keys
---  raise
---@return proa.stream itself
function stream:timeout(limits) end

--- Called by a handler of `serve`: the connection stays open when the handler
--- returns, and is whoever's it was given to. Elsewhere it does nothing.
---@return proa.stream itself
function stream:keep() end

--- Over a Unix socket: write bytes, and with the first of them descriptors,
--- which are duplicated at once, so that these may be closed. Its turn and its
--- room are those of `write`.
---@param data string at least one byte
---@param ... integer|file*|userdata|table at most 253 of what has a descriptor
---  (streams, listeners, datagrams, fd objects, files of io.open) or a method
---  fileno, getfd or pollfd
---@return proa.stream? itself
---@return string? message
---@return string? code EOPNOTSUPP: not a Unix socket; EMFILE, EBADF, CLOSED ...
function stream:send_fds(data, ...) end

--- Over a Unix socket: from now on keep descriptors that come with the bytes,
--- for `recv_fds`. Without it the kernel closes them. Call it before the first
--- read, unless that is `recv_fds`, which does it.
---@param max? integer how many may wait to be taken; default 64; what is over
---  it is closed
---@return proa.stream? itself
---@return string? message
---@return string? code EOPNOTSUPP: not a Unix socket
function stream:take_fds(max) end

--- Wait for bytes, and take the descriptors that came with them, not later than
--- with the first byte that they were sent with. They are the caller's to
--- close; those that nobody takes are closed with the stream.
---@param max? integer bytes; default 64 KiB
---@param timeout? number seconds
---@return string? bytes nil alone at end of stream
---@return userdata[]|string|nil objects each as what it is: a connected socket
---  or a pipe is a stream, then there are listeners, sockets of datagrams, files,
---  and fd objects for the rest; or the message
---@return true|string|nil cut some were closed: over the limit, or out of
---  descriptors; or the code
function stream:recv_fds(max, timeout) end

--- Over a Unix socket: who is at the other end, as of when it connected.
---@return { pid: integer, uid: integer, gid: integer }? credentials
---@return string? message
---@return string? code EOPNOTSUPP: not a Unix socket
function stream:credentials() end

--- The value of a socket option, or set it. Names are the kernel's in lower
--- case: nodelay (on by default), cork, quickack, keepalive, reuseaddr,
--- reuseport, broadcast, v6only, multicast_loop, fastopen_connect are booleans;
--- keepidle, keepintvl, user_timeout, defer_accept are seconds; keepcnt, maxseg,
--- rcvbuf, sndbuf, priority, mark, ttl, tos, multicast_ttl, fastopen (a length)
--- integers; congestion a string;
--- multicast_if the name of an interface, and can only be set; type, domain and
--- error can only be read. An unknown name raises.
---@param name string
---@param value? boolean|number|string
---@return boolean|number|string|proa.stream|nil value the stream when it was set
---@return string? message
---@return string? code ENOTSOCK: a stream in memory; ENOPROTOOPT ...
---@overload fun(self: proa.stream, name: string): boolean|number|string
function stream:option(name, value) end

--- The address of this end; "memory" for a stream without a socket.
---@return string? address
---@return string? message
---@return string? code
function stream:address() end

--- The address of the other end, as `connect` takes it; "memory" for a stream
--- without a socket.
---@return string? address
---@return string? message
---@return string? code
function stream:peer() end

--- Was it closed here?
---@return boolean
function stream:closed() end

-- -- terminals --

--- Is it a terminal?
---@return boolean
function stream:isatty() end

--- The size of its window; `proa.signal.each "WINCH"` tells when it changes.
---@return integer? columns
---@return integer|string rows or the message
---@return string? code ENOTTY
function stream:window_size() end

--- Read keys as they are typed, without echo; output is as before ("\n" begins
--- a line). Until the object is closed, or the program ends.
---@param options? { signals: boolean? } signals: Ctrl-C and the like make
---  signals as before, instead of bytes; unknown keys raise
---@return proa.raw? raw
---@return string? message
---@return string? code ENOTTY, EMFILE (more than eight)
function stream:raw(options) end
