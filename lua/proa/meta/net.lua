---@meta _
-- The network and signals.
-- Addresses are text: "127.0.0.1:80", "[::1]:80", "name:80", ":80",
-- "unix:/path", "unix:@name" (abstract; any bytes). What is none raises. What
-- address() and peer() give, connect takes; but a Unix socket without a name,
-- as most clients have, is "unix:", for log lines alone. Messages show control
-- characters escaped, addresses do not.
-- SPDX-License-Identifier: MIT

---@class proa.net
local net = {}

--- Connect a stream. A name is resolved, and its addresses are tried as RFC
--- 8305 has it: the families by turns, each 250 ms after the one before or as
--- soon as that has failed; the first that succeeds wins. Of a list of addresses
--- the same, in its order. ":80" is this machine.
---@param address string|string[]
---@param options? proa.connect_options unknown keys raise
---@return proa.stream? stream the caller's to close
---@return string? message "connect 127.0.0.1:80: connection refused"; of several
---  attempts what each has met
---@return string? code TIMEOUT, ECONNREFUSED, ENOENT, EAI_NONAME ...; of several
---  attempts the last one's
function net.connect(address, options) end

---@class proa.connect_options
---@field timeout? number seconds for all of it; default: none
---@field stagger? number seconds between attempts; default 0.25
---@field bind? string address of this end, like "127.0.0.1:0"; no name. Addresses
---  of the other family are then tried in vain. "unix:/path" is replaced when
---  stale and removed at the end, as a listener's is

--- Listen for streams. ":80" is every interface, IPv4 and IPv6; port 0 takes a
--- free one; names must be resolved first. At a Unix path a socket that nobody
--- is bound to any more is replaced, anything else there is left alone; closing
--- the listener removes the path if it is still the listener's own.
---@param address string
---@param options? proa.listen_options unknown keys raise
---@return proa.listener? listener
---@return string? message "listen 127.0.0.1:80: address already in use"
---@return string? code EADDRINUSE, EACCES, EADDRNOTAVAIL: no such address here,
---  ENODEV: no such interface, ENOTSOCK: the path exists and is no socket ...
function net.listen(address, options) end

---@class proa.listen_options
---@field backlog? integer clients that the kernel keeps until they are
---  accepted, 1 to 65535; default 1024
---@field reuse_port? boolean share the port with others that ask for it; TCP
---@field mode? string|integer permissions of a Unix path, in octal digits
---  ("660") or as an integer (0x1B0, not 660). Who may write may connect; at no
---  moment may more. Default: by the umask

--- Two connected streams: over a Unix socket, or in this process's memory,
--- where no descriptor and no system call is needed; or two connected sockets
--- of Unix datagrams.
---@param options? { memory: boolean?, datagram: boolean? } unknown keys raise
---@return proa.stream|proa.datagram|nil a
---@return proa.stream|proa.datagram|string b or the message
---@return string? code
function net.pair(options) end

--- A socket of UDP datagrams.
---@param options? proa.datagram_options unknown keys raise
---@return proa.datagram? socket
---@return string? message "bind 127.0.0.1:80: address already in use"
---@return string? code EADDRINUSE, EACCES, EADDRNOTAVAIL ...
function net.udp(options) end

--- The same, also of Unix datagrams: whose addresses are "unix:...".
---@param options? proa.datagram_options unknown keys raise
---@return proa.datagram? socket
---@return string? message
---@return string? code
function net.datagram(options) end

---@class proa.datagram_options
---@field bind? string address of this end; ":80" is every interface, dual
---  stack; "unix:/path" is replaced when stale and removed at the end; "unix:"
---  is an abstract name of the kernel's choice. Default: chosen by the kernel
---  with the first datagram sent
---@field connect? string the peer: `send` goes there, nobody else is heard, and
---  that nobody is there is told (ECONNREFUSED). May be a name: this call then
---  waits
---@field size? integer bytes of the longest datagram that arrives whole, 1 to
---  1 MiB; default: 65492, what a buffer of the pool holds
---@field queue? integer bytes that are kept while nobody takes them; default
---  256 KiB. What comes then stays in the kernel, or is dropped and counted
---@field mode? string|integer permissions of a Unix path, as of listen
---@field reuseaddr? boolean
---@field reuseport? boolean share the port with others that ask for it
---@field v6only? boolean
---@field broadcast? boolean may send to broadcast addresses; default false
---@field rcvbuf? integer bytes of the kernel's queue
---@field sndbuf? integer bytes
---@field ttl? integer
---@field tos? integer
---@field multicast_ttl? integer default 1
---@field multicast_loop? boolean hear one's own; default true
---@field multicast_if? string name of the interface that they leave by

--- The addresses of a name, by the hosts file, DNS and whatever else
--- nsswitch.conf says; in the order of preference (RFC 6724). On a thread, which
--- a cancelled task leaves behind at once. Equal questions at the same time are
--- asked once, few are under way together (setup{workers=}).
---@param host string
---@param service? string|integer port, or name of a service; default 0
---@param options? proa.resolve_options unknown keys raise; may be the second
---@return string[]? addresses that connect takes
---@return string? message "resolve nowhere.invalid: there is no such name"
---@return string? code EAI_NONAME, EAI_SERVICE: no such service, EAI_AGAIN: no
---  name server answers, EAI_FAIL, EAI_NODATA, TIMEOUT ...
function net.resolve(host, service, options) end

--- The name that belongs to an address, as the system finds it; on a thread.
---@param address string "127.0.0.1", "::1", or with a port, which does not count
---@param options? { timeout: number? } seconds; unknown keys raise
---@return string? name
---@return string? message
---@return string? code EAI_NONAME: it has none, EAI_AGAIN, TIMEOUT ...
function net.name(address, options) end

---@class proa.resolve_options
---@field family? "inet"|"inet6" only addresses of this family
---@field numeric? boolean take addresses and port numbers alone, ask nobody
---@field timeout? number seconds

---@class proa.signal
local signal = {}

--- Wait for one of some signals. From the first call on they no longer have
--- their default effect on the process; one that comes while nobody waits is
--- kept for the next call. One is proa's own, to call its threads back: the
--- highest real-time signal below SIGRTMAX (64) that had its default effect when
--- the first of them began, 63 as a rule. Taken by others it serves them, and
--- what waits in a thread is left alone.
---@param ... string|integer|{ timeout: number? } "TERM", "SIGTERM", 15 ...; at
---  last a limit in seconds. Not KILL and STOP, nor what faults raise
---@return string|integer|nil name the one that came, as it was written here
---@return string? message
---@return string? code TIMEOUT
function signal.wait(...) end

--- Iterate over signals: `for name in proa.signal.each("HUP", "TERM") do`. From
--- here until the loop is left, or the iterator closed, they have no effect of
--- their own, also between two steps; then what was there before is put back.
--- Every iterator gets every signal; of several of one kind that came before it
--- was asked it gets one. With "INT", a second one before the first was taken
--- interrupts as without it.
---@param ... string|integer as of wait
---@return proa.signals iterator an entry of select, too
---@return nil
---@return nil
---@return proa.signals closing
function signal.each(...) end

--- Has <close> and __gc, which are close().
---@class proa.signals
---@overload fun(): string|integer|nil
local signals = {}

--- Wait for the next.
---@param timeout? number seconds
---@return string|integer|nil name as it was written
---@return string? message
---@return string? code TIMEOUT, CLOSED
function signals:wait(timeout) end

--- The signals have the effect again that they had. Waiters get CLOSED, loops
--- end.
function signals:close() end
