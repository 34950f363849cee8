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
---@param interface? string name; default: the kernel's choice
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
