---@meta _
-- The network and signals.
-- Addresses are text: "127.0.0.1:80", "[::1]:80", "name:80", ":80",
-- "unix:/path", "unix:@name" (abstract). What is none raises.
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
--- free one; names must be resolved first.
---@param address string
---@param options? { backlog: integer?, reuse_port: boolean? } backlog: clients
---  that the kernel keeps, 1024; reuse_port: share the port; unknown keys raise
---@return proa.listener? listener
---@return string? message
---@return string? code EADDRINUSE, EACCES ...
function net.listen(address, options) end

--- Two connected streams, over a Unix socket.
---@return proa.stream? a
---@return proa.stream|string b or the message
---@return string? code
function net.pair() end

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
