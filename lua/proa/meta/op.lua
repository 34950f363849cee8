---@meta _
-- Raw operations: each submits one request and returns its future, whose
-- `await` gives what stands here as "result", or nil, message, code (CLOSED:
-- its descriptor was closed here meanwhile).
-- Descriptors are integers (borrowed) or fd objects. What is given stays alive
-- with the operation: a buffer is in use until it ends, a string is kept.
-- Streams and listeners do their own; a raw recv beside a stream on the same
-- descriptor takes bytes from it.
-- SPDX-License-Identifier: MIT

---@class proa.op
local op = {}

--- There and back. Result: true.
---@return proa.future
function op.nop() end

--- Result: true, after the time.
---@param seconds number
---@return proa.future
function op.timer(seconds) end

--- Wait until a descriptor is ready. Result: "r", "w" or "rw".
---@param fd integer|proa.fd
---@param events? "r"|"w"|"rw" default "r"
---@return proa.future
function op.ready(fd, events) end

--- Resolve a name, on a thread. Result: a list of addresses.
---@param host string
---@param service? string port or name of a service; default "0"
---@return proa.future
function op.resolve(host, service) end

--- The name that belongs to an address, on a thread. Result: text.
---@param address string its port does not count
---@return proa.future
function op.name(address) end

--- Result: an fd object for one connection.
---@param fd integer|proa.fd
---@return proa.future
function op.accept(fd) end

--- Result: true. The address is not a name.
---@param fd integer|proa.fd
---@param address string
---@return proa.future
function op.connect(fd, address) end

--- Receive into a buffer, or its bytes i to j. Result: how many bytes; nil
--- alone at the end of stream.
---@param fd integer|proa.fd
---@param buffer proa.buffer
---@param i? integer default 1
---@param j? integer default -1
---@return proa.future
function op.recv(fd, buffer, i, j) end

--- Send a datagram. Result: how many bytes.
---@param fd integer|proa.fd
---@param bytes string|proa.buffer a buffer is followed by its range: i, j
---@param address? string no name; default: the peer
---@return proa.future
function op.send_to(fd, bytes, address) end

--- Receive a datagram into a buffer, or its bytes i to j. Result: how many
--- bytes, the sender's address or nil, and how many it had if there was less
--- room.
---@param fd integer|proa.fd
---@param buffer proa.buffer
---@param i? integer default 1
---@param j? integer default -1
---@return proa.future
function op.recv_from(fd, buffer, i, j) end

--- Send all bytes of a string, or of a buffer those from i to j. Result: how
--- many.
---@param fd integer|proa.fd
---@param bytes proa.buffer a string takes no range
---@param i? integer default 1
---@param j? integer default -1
---@return proa.future
---@overload fun(fd: integer|proa.fd, bytes: string): proa.future
function op.send(fd, bytes, i, j) end

--- Send all strings of a list, in order. Result: how many bytes.
---@param fd integer|proa.fd
---@param parts string[] 1 to 64
---@return proa.future
function op.sendmsg(fd, parts) end

--- Result: true.
---@param fd integer|proa.fd
---@param how? "r"|"w"|"rw" default "rw"
---@return proa.future
function op.shutdown(fd, how) end

--- Close: its other operations are cancelled, and when they have ended the
--- descriptor goes. The fd object counts as closed at once. Result: true.
---@param fd integer|proa.fd
---@return proa.future
function op.close(fd) end

--- Read into a buffer, or its bytes i to j. Result: how many bytes; nil alone
--- at the end.
---@param fd integer|proa.fd
---@param buffer proa.buffer
---@param i? integer default 1
---@param j? integer default -1
---@param offset? integer in the file; default: its own position
---@return proa.future
function op.read(fd, buffer, i, j, offset) end

--- Write all bytes of a string, or of a buffer those from i to j. Result: how
--- many.
---@param fd integer|proa.fd
---@param bytes proa.buffer a string takes no range: write(fd, text, offset)
---@param i? integer default 1
---@param j? integer default -1
---@param offset? integer in the file; default: its own position
---@return proa.future
---@overload fun(fd: integer|proa.fd, bytes: string, offset: integer?): proa.future
function op.write(fd, bytes, i, j, offset) end

--- Open a file. Result: an fd object. The other end of a FIFO is not waited for:
--- an end to read is there at once, ENXIO says that nobody reads what is to be
--- written.
---@param path string
---@param mode? string|integer as io.open's; "x" behind it: it must be new, "d":
---  past the page cache; or the bits of open(2). Default "r"
---@param permissions? integer of a new file, before the umask; default 438 (0666)
---@param at? integer|proa.fd directory that the path starts from
---@return proa.future
function op.open(path, mode, permissions, at) end

--- Open a file, waiting for the other end of a FIFO as long as it takes, on a
--- thread that a signal calls back when it is cancelled. (An end to read does not
--- wait in the simulation.) Result: an fd object.
---@param path string
---@param mode? string|integer as of open
---@param permissions? integer of a new file, before the umask; default 438 (0666)
---@param at? integer|proa.fd directory that the path starts from
---@return proa.future
function op.open_waiting(path, mode, permissions, at) end

--- Wait until the file's bytes are on the disk. Result: true.
---@param fd integer|proa.fd
---@param data_only? boolean not what only describes the file
---@return proa.future
function op.fsync(fd, data_only) end

--- Read into several buffers, one after the other. Result: as of read.
---@param fd integer|proa.fd
---@param buffers proa.buffer[] 1 to 64, each once; lent until it has ended
---@param offset? integer in the file; default: its own position
---@return proa.future
function op.readv(fd, buffers, offset) end

--- Write all strings of a list, in order. Result: how many bytes.
---@param fd integer|proa.fd
---@param parts string[] 1 to 64
---@param offset? integer in the file; default: its own position
---@return proa.future
function op.writev(fd, parts, offset) end

--- What the kernel tells of a descriptor. Result: proa.stat.
---@param fd integer|proa.fd
---@return proa.future
function op.fstat(fd) end

--- Make a file so long: cut, or grown by zeros. Result: true.
---@param fd integer|proa.fd
---@param length integer
---@return proa.future
function op.truncate(fd, length) end

--- See to it that a part of a file has its place on the disk, or (hole) that
--- it takes none and reads as zeros. Result: true.
---@param fd integer|proa.fd
---@param offset integer
---@param length integer
---@param hole? boolean
---@return proa.future
function op.allocate(fd, offset, length, hole) end

--- Lock a file (flock(2)), without waiting. Result: true; code EBUSY: others
--- have it. A lock that nobody collects is given up.
---@param fd integer|proa.fd
---@param how? "shared"|"exclusive"|"none" default "exclusive"
---@return proa.future
function op.flock(fd, how) end

--- Copy from one file to another, 16 MiB at most. Result: how many bytes; 0 at
--- the end.
---@param to integer|proa.fd
---@param to_offset integer
---@param from integer|proa.fd
---@param from_offset integer
---@param n integer bytes
---@return proa.future
function op.copy_range(to, to_offset, from, from_offset, n) end

--- Send a part of a file to a socket, as much as that takes now and 1 MiB at
--- most. Makes the socket non-blocking. Result: how many bytes, 0 at the end of
--- the file; code EAGAIN: none, wait until it is writable (op.ready).
---@param to integer|proa.fd
---@param from integer|proa.fd
---@param offset integer
---@param n integer bytes
---@return proa.future
function op.sendfile(to, from, offset, n) end

--- The next names of a directory. Result: a list of names and types in turn,
--- without "." and ".."; nil when there are no more.
---@param fd integer|proa.fd
---@return proa.future
function op.entries(fd) end

--- Add a path to an inotify descriptor. Result: its number there.
---@param fd integer|proa.fd
---@param path string
---@param mask integer as of inotify(7)
---@return proa.future
function op.watch_add(fd, path, mask) end

--- What the kernel tells of a file. Result: proa.stat.
---@param path string
---@param nofollow? boolean of a symbolic link itself
---@param at? integer|proa.fd directory that the path starts from
---@return proa.future
function op.stat(path, nofollow, at) end

--- May this process do that, by its effective user? Result: true; code EACCES.
---@param path string
---@param how? string some of "rwx"; default "": is it there?
---@param at? integer|proa.fd directory that the path starts from
---@return proa.future
function op.access(path, how, at) end

--- Make a directory. Result: true.
---@param path string
---@param permissions? integer before the umask; default 511 (0777)
---@param at? integer|proa.fd directory that the path starts from
---@return proa.future
function op.mkdir(path, permissions, at) end

--- Remove a name. Result: true.
---@param path string
---@param directory? boolean an empty directory
---@param at? integer|proa.fd directory that the path starts from
---@return proa.future
function op.unlink(path, directory, at) end

--- Result: true.
---@param from string
---@param to string
---@param keep? boolean fail with EEXIST where something is there
---@param at? integer|proa.fd directory that both paths start from
---@return proa.future
function op.rename(from, to, keep, at) end

--- Give a file another name. Result: true.
---@param from string
---@param to string
---@param at? integer|proa.fd directory that both paths start from
---@return proa.future
function op.link(from, to, at) end

--- Make a symbolic link. Result: true.
---@param target string any text
---@param path string
---@param at? integer|proa.fd directory that the path starts from
---@return proa.future
function op.symlink(target, path, at) end

--- What a symbolic link says. Result: a string.
---@param path string
---@param at? integer|proa.fd directory that the path starts from
---@return proa.future
function op.readlink(path, at) end

--- The path without links, dots and double slashes. Result: a string.
---@param path string
---@return proa.future
function op.realpath(path) end

--- Set permissions. Result: true.
---@param path string
---@param permissions? integer default 511 (0777)
---@param at? integer|proa.fd directory that the path starts from
---@return proa.future
function op.chmod(path, permissions, at) end
