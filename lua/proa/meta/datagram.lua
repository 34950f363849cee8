---@meta _
-- Sockets of datagrams, UDP and Unix, made by proa.net.udp, datagram and pair.
-- SPDX-License-Identifier: MIT

--- Any task may use it. Has <close> and __gc, which are close(). Wherever an
--- address is expected, a name raises: resolve it first.
---@class proa.datagram
local datagram = {}

--- Bind it, once.
---@param address string see proa.datagram_options
---@param mode? integer permissions of a Unix path; default: by the umask
---@return proa.datagram? itself
---@return string? message
---@return string? code EADDRINUSE, EACCES, EINVAL: it is bound already ...
function datagram:bind(address, mode) end

--- Choose the peer, or without an address have none any more; what was queued
--- from others is dropped. Does not wait.
---@param address? string
---@return proa.datagram? itself
---@return string? message
---@return string? code
function datagram:connect(address) end

--- Send one datagram to the peer. Waits until the kernel has taken it; over
--- Unix, for room at the receiver. Given up, it may still go.
---@param data string|proa.buffer
---@param timeout? number seconds
---@return integer? bytes
---@return string? message
---@return string? code EMSGSIZE: too long, ECONNREFUSED: nobody was there the
---  last time, EDESTADDRREQ: no peer, TIMEOUT, CLOSED ...
function datagram:send(data, timeout) end

--- Send one datagram there.
---@param data string|proa.buffer
---@param address string
---@param timeout? number seconds
---@return integer? bytes
---@return string? message
---@return string? code
function datagram:send_to(data, address, timeout) end

--- Send several, at most 1024. At the first that fails no more are begun.
---@param list (string|proa.buffer|{ data: string, to: string })[] an entry
---  without an address goes to the peer; { data, to } may be a plain pair
---@param timeout? number seconds, for all
---@return integer? count all of them
---@return string? message
---@return string? code
---@return integer? sent how many were sent all the same
function datagram:send_batch(list, timeout) end

--- Over a Unix socket: send one datagram to the peer, and with it descriptors,
--- which are duplicated at once, so that these may be closed. Its limit is that
--- of `timeout`.
---@param data string|proa.buffer
---@param ... integer|file*|userdata|table at most 253 of what has a descriptor
---  (streams, listeners, datagrams, fd objects, files of io.open) or a method
---  fileno, getfd or pollfd
---@return integer? bytes
---@return string? message
---@return string? code those of `send`; EOPNOTSUPP: not a Unix socket, EBADF,
---  EMFILE
function datagram:send_fds(data, ...) end

--- The same, there.
---@param data string|proa.buffer
---@param address string
---@param ... integer|file*|userdata|table
---@return integer? bytes
---@return string? message
---@return string? code
function datagram:send_fds_to(data, address, ...) end

--- Over a Unix socket: from now on keep descriptors that come with datagrams,
--- for `recv_fds`. Without it the kernel closes them. Call it before the first
--- receive, unless that is `recv_fds`, which does it.
---@param max? integer how many may wait to be taken; default 64; what is over
---  it is closed
---@return proa.datagram? itself
---@return string? message
---@return string? code EOPNOTSUPP: not a Unix socket
function datagram:take_fds(max) end

--- Wait for a datagram and take the descriptors that came with it, which are
--- the caller's to close. When any other call takes it, or nobody does, they
--- are closed.
---@param timeout? number seconds
---@return string? data
---@return userdata[]|string objects each as what it is: see `recv_fds` of
---  streams; empty: none came; or the message
---@return string? from the sender; nil: it has no name; or the code
---@return boolean? cut some were closed: over the limit, or out of descriptors
---@return integer? full bytes of the whole when it was longer than the socket's
---  size
function datagram:recv_fds(timeout) end

--- Wait for a datagram. Giving up loses none.
---@param timeout? number seconds
---@return string? data
---@return integer|string|nil full bytes of the whole, when it was longer than
---  the socket's size; or the message
---@return string? code ECONNREFUSED: nobody is at the peer's port, TIMEOUT,
---  CLOSED ...
function datagram:recv(timeout) end

--- The same, with its sender.
---@param timeout? number seconds
---@return string? data
---@return string? from address that send_to takes; nil: a Unix socket without
---  a name; or the message
---@return integer|string|nil full bytes of the whole when it was cut; or the
---  code
function datagram:recv_from(timeout) end

--- Wait for a datagram, and take with it what else there is.
---@param max? integer datagrams; default 64
---@param timeout? number seconds
---@return { data: string, from: string?, full: integer? }[]? list at least one
---@return string? message
---@return string? code
function datagram:recv_batch(max, timeout) end

--- Iterate over datagrams until the socket is closed here; raises on errors.
---@return fun(): string?, string?, integer? data, from and full of recv_from
function datagram:incoming() end

--- Limits for each call.
---@param limits { read: number?, write: number? } seconds; math.huge: none;
---  unknown keys raise
---@return proa.datagram itself
function datagram:timeout(limits) end

--- Hear what is sent to a multicast group.
---@param group string "239.1.2.3", "ff02::1"
---@param interface? string its name, one of its addresses, or its number;
---  default: the kernel's choice
---@return proa.datagram? itself
---@return string? message
---@return string? code ENODEV: no such interface ...
function datagram:join(group, interface) end

---@param group string
---@param interface? string as of join
---@return proa.datagram? itself
---@return string? message
---@return string? code EADDRNOTAVAIL: it had not joined
function datagram:leave(group, interface) end

--- The value of a socket option, or set it: those of streams.
---@param name string
---@param value? boolean|number|string
---@return boolean|number|string|proa.datagram|nil value itself when it was set
---@return string? message
---@return string? code
function datagram:option(name, value) end

---@return string? address of this end; "unix:" when it has no name
---@return string? message
---@return string? code
function datagram:address() end

---@return string? address of the peer
---@return string? message
---@return string? code ENOTCONN
function datagram:peer() end

--- Datagrams that came and found no room, in this socket's queue or in the
--- kernel's.
---@return integer count
function datagram:dropped() end

--- Close it at once: whoever waits gets CLOSED, a Unix path is removed.
function datagram:close() end

---@return boolean
function datagram:closed() end
