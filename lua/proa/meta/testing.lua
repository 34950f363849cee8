---@meta _
-- Tests in a simulated world.
-- It is made of a seed: a network and files in memory whose delays, orders and short
-- reads follow from it, and a clock that jumps to the next thing that happens
-- when every task waits. What goes wrong with one seed goes wrong each time.
-- Nothing in it depends on the driver that the process uses, which stands
-- still meanwhile. Programs that depend on the order of `pairs` or on addresses
-- may still differ from process to process.
-- SPDX-License-Identifier: MIT

---@class proa.testing_module
local testing = {}

--- Run fn(sim) in a task of a simulated runtime of its own; in a task, in the
--- main chunk, not inside another testing.run. proa is the same inside.
--- Objects that were made outside raise there ("proa.stream of another
--- runtime"), except buffers; what was made inside is closed, and behaves so,
--- when it returns.
---@param fn fun(sim: proa.testing): ... its error is raised, after what it
---  started was cancelled
---@param given? proa.testing_options unknown keys raise
---@return any ... fn's results
function testing.run(fn, given) end

---@class proa.testing_options
---@field seed? integer default 1
---@field latency? number|number[] seconds that a packet takes, or { least,
---  most }; default 0
---@field loss? number share of packets that are lost, 0 to 0.9: of a stream
---  they come late (after 0.2 s, 0.4 s ...), datagrams never; default 0
---@field errors? integer any operation meets an error of its kind once in so
---  many times; default 0: none
---@field chaos? integer 0: at once, in order, in full; 1, the default: delays,
---  short reads and writes, receives without a buffer, cancels that come too
---  late; more: more often
---@field delay? number most seconds between steps of an operation; default
---  0.0002
---@field files? boolean true, the default: proa.fs and Unix socket paths are
---  in memory, begin with an empty /tmp, and are gone afterwards; no
---  permissions, FIFOs, devices or watches. false: the real ones
---@field socket_buffer? integer bytes of a new socket's buffers; default 65536
---@field sockets? integer open at once, then EMFILE; default 65536
---@field completions? integer results that the loop gets at once
---@field submissions? integer operations that the loop hands over at once
---@field buffers? integer of the pool, a power of two; default 128
---@field buffer_size? integer bytes of each; default 65536
---@field limit? number simulated seconds after which it raises; default 3600

--- Run fn(sim) once for each of n seeds. With PROA_TESTING_SEED=seed in the
--- environment only with that one.
---@param n integer
---@param fn fun(sim: proa.testing)
---@param given? proa.testing_options seed: the first, default 1
---@return integer count of runs; the first that fails is raised, with its seed
function testing.explore(n, fn, given) end

--- A test of busted, whose function runs simulated, once for each seed.
---@param name string
---@param fn fun(sim: proa.testing)
---@param given? table proa.testing_options, and seeds: how many, default 100
function testing.it(name, fn, given) end

--- The world, as the function that runs in it gets it; usable until that
--- returns. `seed` is its seed.
---@class proa.testing
---@field seed integer
local sim = {}

--- Let an operation fail instead of giving the result it has: the nth that
--- comes to that from now on. What ends a connection (ECONNRESET, EPIPE,
--- ETIMEDOUT, EHOSTUNREACH in recv or send) ends it for its peer, too.
---@param op string accept, connect, recv, send, shutdown, close, read, write,
---  open, ... (the names of proa.op), or socket, pair, bind, listen
---@param errno string like "ECONNRESET"
---@param given? { nth: integer?, times: integer? } times: so many in a row;
---  default 1 each; unknown keys raise
function sim:fail(op, errno, given) end

--- Nothing passes between an address and its peers. Nobody is told: what is
--- sent meanwhile arrives when it is over, connecting takes that long.
---@param address string of one end, as listener:address() tells it
---@param seconds? number simulated; default: until heal
function sim:partition(address, seconds) end

--- End the partitions of an address.
---@param address? string default: all of them
function sim:heal(address) end

--- Change the world while it is running.
---@param knobs proa.testing_options latency, loss, errors, chaos, delay,
---  socket_buffer, sockets, completions, submissions; others raise
function sim:set(knobs) end

return testing, sim
