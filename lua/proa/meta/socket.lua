---@meta _
-- proa.socket: LuaSocket's shape. Loaded when first asked for. What is not said
-- here is as LuaSocket 3.1 documents it; failures are nil and its texts
-- ("timeout", "closed", "connection refused"). Every wait is an await.
-- SPDX-License-Identifier: MIT

---@class proa.socket
local socket = {}

--- From now on `require "socket"`, and "socket.core", give this module, and
--- "socket.unix" its own: streams and datagrams by path.
---@return proa.socket
function socket.install() end

--- A TCP object that is neither client nor server yet.
---@return proa.socket.tcp
function socket.tcp() end

--- The same, for IPv4 alone.
---@return proa.socket.tcp
function socket.tcp4() end

--- The same, for IPv6 alone.
---@return proa.socket.tcp
function socket.tcp6() end

--- A UDP object, of the family of the first address that it is given; of a name
--- the one of IPv4.
---@return proa.socket.udp
function socket.udp() end

--- A UDP object of IPv4.
---@return proa.socket.udp
function socket.udp4() end

--- A UDP object of IPv6.
---@return proa.socket.udp
function socket.udp6() end

--- A connected client; of a name the addresses are tried by turns.
---@param host string
---@param port integer|string
---@param own_host? string address of this end
---@param own_port? integer|string default: a free one
---@param family? "inet"|"inet6"
---@return proa.socket.tcp? client
---@return string? message
function socket.connect(host, port, own_host, own_port, family) end

--- The same over IPv4.
---@param host string
---@param port integer|string
---@return proa.socket.tcp? client
---@return string? message
function socket.connect4(host, port) end

--- The same over IPv6.
---@param host string
---@param port integer|string
---@return proa.socket.tcp? client
---@return string? message
function socket.connect6(host, port) end

--- A server that listens.
---@param host string "*": every IPv4 interface
---@param port integer|string 0: a free one
---@param backlog? integer default 32
---@return proa.socket.tcp? server
---@return string? message
function socket.bind(host, port, backlog) end

--- Wait until one can be received from or sent to.
---@param receivers? table list; objects of others are asked for getfd
---@param senders? table list
---@param timeout? number seconds; nil or negative: none
---@return table readable a list, and by object its index
---@return table writable
---@return "timeout"? message when none is
function socket.select(receivers, senders, timeout) end

---@param seconds number how long this task sleeps; negative: not at all
function socket.sleep(seconds) end

--- The time of day; it never goes back.
---@return number seconds since 1970
function socket.gettime() end

--- A function that throws its second argument when its first is nil or false.
---@param finaliser? function is called before
---@return function try
function socket.newtry(finaliser) end

--- newtry without a finaliser.
---@param ... any
---@return any ... the same
function socket.try(...) end

--- The function, returning nil and the message of what a try in it throws.
---@param fn function
---@return function
function socket.protect(fn) end

--- The values behind the first n.
---@param n integer
---@param ... any
---@return any ...
function socket.skip(n, ...) end

--- A function that chooses a maker of sinks or sources by its name.
---@param list table
---@return function
function socket.choose(list) end

--- An LTN12 sink.
---@param mode "close-when-done"|"keep-open"
---@param object proa.socket.tcp
---@return function
function socket.sink(mode, object) end

--- An LTN12 source.
---@param mode "by-length"|"until-closed"
---@param object proa.socket.tcp
---@param length? integer bytes
---@return function
function socket.source(mode, object, length) end

---@class proa.socket.dns
local dns = {}

---@param host string
---@return { family: string, addr: string }[]? addresses
---@return string? message
function dns.getaddrinfo(host) end

---@param host string
---@return string? ip the first of IPv4
---@return table|string resolved { name =, alias =, ip = }, or the message
function dns.toip(host) end

---@param host string address or name
---@return string? name
---@return table|string resolved { name =, alias =, ip = }, or the message
function dns.tohostname(host) end

--- The names of a host's addresses, an address where there is none.
---@param host? string
---@param service? string|integer is returned as it is
---@return string[]|string|integer|nil names without a host the service
---@return string|integer|nil service or the message
function dns.getnameinfo(host, service) end

---@return string name of this machine
function dns.gethostname() end

--- A TCP object: master, client or server.
---@class proa.socket.tcp
local tcp = {}

--- A master that is not connected, for what is given away.
---@param family? "inet"|"inet6"
---@param class? table of tcp.derive
---@return proa.socket.tcp
function tcp.new(family, class) end

--- A metatable for objects that do the same but for these methods.
---@param methods table
---@return table class
function tcp.derive(methods) end

--- Become a client of a stream of proa's.
---@param conn proa.stream
---@return proa.socket.tcp? itself nil: an option was refused, the stream is closed
---@return string? message
function tcp:attach(conn) end

--- Become a client.
---@param host string
---@param port integer|string
---@return 1? done
---@return string? message
function tcp:connect(host, port) end

--- Bind: to become a server with listen, or a client with connect. The options
--- reuseaddr, reuseport and ipv6-v6only are to be set before.
---@param host string "*": every interface
---@param port integer|string
---@return 1? done
---@return string? message
function tcp:bind(host, port) end

--- Bind to an address as proa has it.
---@param address string
---@return 1? done
---@return string? message
function tcp:bind_to(address) end

--- bind by another name.
---@param host string
---@param port integer|string
---@return 1? done
---@return string? message
function tcp:setsockname(host, port) end

--- connect by another name.
---@param host string
---@param port integer|string
---@return 1? done
---@return string? message
function tcp:setpeername(host, port) end

--- Become a server, once it is bound.
---@param backlog? integer default 32
---@return 1? done
---@return string? message
function tcp:listen(backlog) end

--- Is a connect that was begun with a limit of zero still on its way?
---@return boolean
function tcp:is_dialing() end

---@return "inet4"|"inet6"
function tcp:getfamily() end

---@return proa.socket.tcp? client
---@return string? message "timeout", "closed"
function tcp:accept() end

--- Receive a line, all until the end, or so many bytes.
---@param pattern? "*l"|"*a"|integer|string default "*l"; a string of digits
---  is a number
---@param prefix? string is put before; counts among the bytes
---@return string? data
---@return string? message
---@return string? partial what there was
function tcp:receive(pattern, prefix) end

--- Send a string, or its bytes i to j.
---@param data string
---@param i? integer default 1
---@param j? integer default -1
---@return integer? last index of the last byte sent
---@return string? message
---@return integer? last of what was sent all the same
function tcp:send(data, i, j) end

--- Limit the waits.
---@param value? number seconds; nil or negative: none; 0: do not wait
---@param mode? "b"|"t" of each wait (default), of each call
---@return 1
function tcp:settimeout(value, mode) end

---@return number block -1: none
---@return number total -1: none
function tcp:gettimeout() end

--- Set an option. Before there is a socket it is kept for it, and what the kernel
--- refuses is told by bind or connect.
---@param name string as LuaSocket calls it: "tcp-nodelay", "keepalive" ...
---@param value any
---@return 1? done
---@return string? message
function tcp:setoption(name, value) end

---@param name string
---@return any value
function tcp:getoption(name) end

---@param how? "both"|"send"|"receive" default "both"
---@return 1? done
---@return string? message
function tcp:shutdown(how) end

--- Close it; what was accepted is still sent, but with the option
--- linger = { on = true, timeout = 0 }.
---@return 1
function tcp:close() end

---@return string? host
---@return integer|string port or the message
---@return "inet"|"inet6" family
function tcp:getsockname() end

---@return string? host
---@return integer|string port or the message
---@return "inet"|"inet6" family
function tcp:getpeername() end

--- Is there something that select need not wait for?
---@return boolean
function tcp:dirty() end

---@return integer fd -1: none
function tcp:getfd() end

---@return integer received bytes
---@return integer sent bytes
---@return number age seconds
function tcp:getstats() end

---@param received? integer bytes
---@param sent? integer bytes
---@param age? number seconds
---@return 1
function tcp:setstats(received, sent, age) end

--- Wait until a receive or an accept would not wait.
function tcp:wait_readable() end

--- Wait until a send would not wait.
function tcp:wait_writable() end

--- A UDP object, connected to a peer or not.
---@class proa.socket.udp
local udp = {}

---@param family? "inet"|"inet6"
---@param class? table of udp.derive
---@return proa.socket.udp object that is not bound yet
function udp.new(family, class) end

--- A metatable for objects that do the same but for these methods.
---@param methods table
---@return table class
function udp.derive(methods) end

--- What it works with, made and bound when it is first needed.
---@param bind? string address
---@return proa.datagram? socket
---@return string? message
function udp:open(bind) end

--- Connect to an address as proa has it; none: to nobody any more.
---@param address? string
---@return 1? done
---@return string? message
function udp:connect_to(address) end

--- Send to an address as proa has it.
---@param data string
---@param address string
---@return integer? bytes
---@return string? message
function udp:send_to(data, address) end

---@return "inet4"|"inet6"
function udp:getfamily() end

---@param host string "*": every interface
---@param port integer|string
---@return 1? done
---@return string? message
function udp:setsockname(host, port) end

--- Choose the peer; "*": none any more.
---@param host string
---@param port? integer|string
---@return 1? done
---@return string? message
function udp:setpeername(host, port) end

---@param data string sent to the peer
---@return integer? bytes
---@return string? message
function udp:send(data) end

---@param data string
---@param host string
---@param port integer|string
---@return integer? bytes
---@return string? message
function udp:sendto(data, host, port) end

---@param size? integer bytes; more of a datagram is lost
---@return string? data
---@return string? message
function udp:receive(size) end

---@param size? integer bytes
---@return string? data
---@return string host of the sender; or the message
---@return integer? port
function udp:receivefrom(size) end

---@param value? number seconds, as of TCP
---@param mode? "b"|"t"
---@return 1
function udp:settimeout(value, mode) end

---@return number block -1: none
---@return number total -1: none
function udp:gettimeout() end

--- Those that are needed before it is bound (reuseaddr ...) are to be set before.
--- Before there is a socket they are kept for it; joining a group makes one.
---@param name string "ip-add-membership" and its kin as well
---@param value any of a membership { multiaddr =, interface = }
---@return 1? done
---@return string? message
function udp:setoption(name, value) end

---@param name string
---@return any value
function udp:getoption(name) end

---@return string? host
---@return integer|string port or the message
---@return "inet"|"inet6" family
function udp:getsockname() end

---@return string? host
---@return integer|string port or the message
---@return "inet"|"inet6" family
function udp:getpeername() end

---@return 1
function udp:close() end

---@return integer fd -1: none
function udp:getfd() end

---@return boolean held select has taken a datagram
function udp:dirty() end

--- Wait until a receive would not wait.
function udp:wait_readable() end

--- It never waits.
function udp.wait_writable() end
