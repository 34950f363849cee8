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

--- Connect a stream. A name is resolved, its addresses are tried in order;
--- ":80" is this machine.
---@param address string
---@param options? { timeout: number? } seconds for all of it; unknown keys raise
---@return proa.stream? stream the caller's to close
---@return string? message "connect 127.0.0.1:80: connection refused"
---@return string? code TIMEOUT, ECONNREFUSED, ENOENT ...
function net.connect(address, options) end

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
--- where no descriptor and no system call is needed.
---@param options? { memory: boolean? } unknown keys raise
---@return proa.stream? a
---@return proa.stream|string b or the message
---@return string? code
function net.pair(options) end

--- The addresses of a name; on a thread, which a cancelled task leaves behind.
---@param host string
---@param service? string|integer port, or name of a service; default 0
---@return string[]? addresses that connect takes
---@return string? message
---@return string? code ENOENT: no such name
function net.resolve(host, service) end

---@class proa.signal
local signal = {}

--- Wait for one of some signals. From the first call on they no longer have
--- their default effect on the process.
---@param ... "HUP"|"INT"|"QUIT"|"TERM"|"USR1"|"USR2"|"CHLD"|"WINCH"|"ALRM"|"CONT"|"TSTP"
---  "SIGTERM" and the like are taken
---@return string name the one that came, as it was written here
function signal.wait(...) end
