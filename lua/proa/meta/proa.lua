---@meta proa
-- What `require "proa"` gives. These files are for people and for the Lua
-- language server; they are never run.
--
-- Throughout: seconds are numbers and may have fractions. What waits suspends
-- its task alone, or, in the main chunk, runs the loop meanwhile. The world
-- failing is `nil, message, code`: code is an errno name ("ECONNREFUSED") or
-- one of proa's own: TIMEOUT (a limit set in Lua), CLOSED (closed here while
-- waiting), CANCELLED, EOF, LIMIT. Misuse raises, and so does a cancellation,
-- at the await it strikes.
-- SPDX-License-Identifier: MIT

---@class proa
---@field net proa.net connecting and listening
---@field op proa.op raw operations
---@field fd proa.fd_module descriptors for raw operations
---@field proactor proa.proactor_module the loop by hand
---@field signal proa.signal
---@field sync proa.sync
local proa = {}

---@alias proa.awaitable proa.task|proa.future|proa.from_outside|proa.between_tasks
---@alias proa.from_outside proa.listener|proa.datagram|proa.process|proa.signals
---@alias proa.between_tasks proa.channel|proa.sending|proa.subscription|proa.lock
---@alias proa.lock proa.mutex|proa.semaphore|proa.event|proa.waitgroup|proa.limiter

-- -- running --

--- Run a function as a task; ends when it and all that it spawned have ended,
--- and what closes in the background is closed. An error in `fn` cancels the
--- rest, waits for it, and is raised: a string then goes on with "raised in task
--- ..." and a traceback (match its beginning). At the end it raises if a task has failed
--- and nobody awaited it, unless there is an `on_error` handler. Inside a task
--- it is a scope: the same for what `fn` spawns, and `fn` runs in that task.
--- Without a function, in the
--- main chunk: wait for the tasks that the main chunk has spawned.
--- Ctrl-C raises "interrupted!" here, and cancels what run waits for: `fn` and
--- its tasks, and of `run()` all that the main chunk has spawned. In the
--- interactive interpreter they are gone, then, and others are not; to keep
--- them, wait for something else (`proa.sleep`, `task:await()`).
---@param fn? fun(...): ... without it: wait for what was spawned
---@param ... any its arguments
---@return any ... fn's results; nothing after `stop`; nil, message, "CANCELLED"
---  when fn's task was cancelled
function proa.run(fn, ...) end

--- The outermost `run` cancels its tasks and returns nothing. From anywhere;
--- without a `run` nothing happens.
function proa.stop() end

--- Start a task. It begins at the next turn of the loop, never inside this
--- call, and belongs to the innermost `scope` or `run` around the call, which
--- waits for it. Dropping the handle does not cancel it.
---@param fn fun(...): ...
---@param ... any its arguments
---@return proa.task
function proa.spawn(fn, ...) end

--- What is known of a task. All of it is for people: names of peers have
--- their control characters escaped.
---@class proa.task_record
---@field task proa.task itself
---@field id integer
---@field name? string
---@field status "ready"|"running"|"waiting"
---@field background? true
---@field age number seconds since it was spawned
---@field op? string of one that waits: "read", "accept", "sleep", an op's name
---@field on? string what for: "127.0.0.1:80 (fd 5)", "#3 (a.lua:7)"
---@field fd? integer the descriptor
---@field peer? string of the socket, of a listener its own address
---@field waited? number seconds that it has waited
---@field left? number seconds until it gives up, or wakes from its sleep
---@field at? string "file:line" where it is; nil before it has started
---@field spawned string "file:line" that spawned it, or where a handler of serve is defined
---@field by integer id of the task that spawned it; 0: the main chunk
---@field traceback string its own frames, then what spawned it

--- The tasks that live, oldest first. Ages are as of the turn of the loop in
--- which they began, to about 10 ms.
---@return proa.task_record[]
function proa.tasks() end

--- Print the tasks that live as a table: what each waits for, since when, and
--- below it its traceback. Tasks that wait for the like at the same line are
--- shown as one. From another terminal: `setup { dump_signal = "QUIT" }`, then
--- `kill -QUIT`.
---@param file? { write: fun(self, text: string) } default: io.stderr
function proa.dump(file) end

--- Watch for tasks that do not let go of the loop: code that computes for long,
--- or a C function that blocks. The report comes while the task still runs,
--- and again after twice the time; inside a C function it has to wait until
--- that returns, and until then one line on stderr tells of it. One at a time;
--- it watches until it is closed, whether or not the handle is kept. It costs a
--- thread that looks four times in `seconds`, which are at least 0.01, and uses
--- SIGURG.
---@param seconds number that a task may run at once
---@param fn? fun(task: proa.task, seconds: number, traceback: string) called in
---  the task that runs, and can't await; default: print to stderr
---@return proa.watchdog_handle? watchdog, string? message, string? code an errno
---  name: there is no thread for it
function proa.watchdog(seconds, fn) end

---@class proa.watchdog_handle
local watchdog = {}

--- Watch no more. Also by `<close>`.
function watchdog:close() end

--- Write a timeline in the Trace Event Format, which Perfetto (ui.perfetto.dev),
--- the Performance panel of Chromium's developer tools and speedscope open: a row
--- for each task with what it did (ran, waited for what, was ready), ops from
--- submission to completion (Perfetto alone shows these), and the time that the
--- loop spent in the driver. Tasks and ops that are there already begin where the
--- trace does. One at a time; it goes on until it is closed, whether or not the
--- handle is kept. What a program that is killed, or ends by `os.exit(code)`, has
--- not written yet is lost (64 KiB, and what tasks were doing), as is the last
--- bracket, which viewers do without. Writing blocks the loop as writing to a file
--- does, 64 KiB at once; a megabyte is about 10,000 events.
---@param path string the file is made, or emptied
---@param options? { max: integer? } bytes after which it ends by itself, which
---  is logged; 256 MiB
---@return proa.trace_handle? trace, string? message, string? code an errno name
function proa.trace(path, options) end

---@class proa.trace_handle
local trace = {}

--- The file is whole. Also by `<close>`, and when the Lua state is closed.
---@return boolean? ok, string? message, string? code an errno name: not all of
---  it could be written
function trace:close() end

---@class proa.log_fields
---@field event "driver"|"accept"|"late"|"leak"|"hog"|"trace"|"failed"|"idle" which driver was
---  chosen at the first use, and why not a better one; accepting has to wait
---  for descriptors or memory; an operation ended that nobody waits for any
---  more; a task had not ended when its Lua state was closed; a task did not
---  let go of the loop; a trace has ended by itself; a function that `all` or
---  one of its kin started failed after the first one; `serve` ended a
---  connection on which nothing had come for `idle` seconds
---@field driver? string
---@field op? string
---@field fd? integer
---@field task? integer its id
---@field code? string an errno name
---@field lost? integer entries before this one that there was no room for

--- Who is told what the runtime has to say. It is called by the loop, in no
--- task, and can't await; its errors are printed. Without it nothing of this is
--- printed.
---@param fn? fun(level: "debug"|"info"|"warn", message: string, fields:
---  proa.log_fields) nil: nobody
---@return function? previous the function before
function proa.on_log(fn) end

--- The task whose code runs.
---@return proa.task? task nil in the main chunk
function proa.current() end

--- Who is told of errors that nobody awaits. Without a handler they are
--- printed to stderr, and `run` fails at its end.
---@param fn? fun(err: any, traceback: string?, label: string) nil: none
---@return function? previous the handler before
function proa.on_error(fn) end

---@class proa.setup_options
---@field driver? "auto"|"uring"|"poll"|"sim" default: the environment's
---  PROA_DRIVER, or "auto": the best that works
---@field entries? integer of the submission queue; a power of two, up to 32768
---@field cq_entries? integer of the completion queue; a power of two
---@field buffers? integer receive buffers of the pool; a power of two; 128
---@field buffer_size? integer bytes of each; 65536
---@field memory? integer bytes that the queues of all streams may hold together;
---  default: a quarter of the machine's. Beyond it a stream that holds more than
---  64 KiB receives nothing more (a read that waits for more: code LIMIT), and
---  writes wait until theirs are sent
---@field workers? integer threads for what blocks
---@field seed? integer of the simulation; default: PROA_SIM_SEED
---@field patch_coroutines? boolean default true: coroutine.resume, wrap and
---  close let a coroutine inside a task await, and require lets a module await
---  at top level (tasks that require it meanwhile wait: it is loaded once).
---  false: the stock functions. A require, or a wrap, that somebody has replaced
---  already is left alone
---@field dump_signal? "QUIT"|"USR1"|"USR2" prints `proa.dump()` from then on, in
---  the loop, between two instructions of a task that does not let go of it,
---  or when the C function that blocks it returns. Not one that is waited for
---@field log? function as for `on_log`

--- Choose, before the first use of proa; afterwards it raises.
---@param options proa.setup_options unknown keys raise
function proa.setup(options) end

---@class proa.info
---@field version string
---@field driver "uring"|"poll"|"sim"
---@field refused? string why it is not `uring`, when that was tried
---@field kernel string
---@field entries? integer of the rings, where there are rings
---@field cq_entries? integer
---@field buffers integer
---@field buffer_size integer bytes

--- Which driver it is, and why not the better one.
---@return proa.info
function proa.info() end

---@class proa.stats
---@field ops_submitted integer
---@field ops_completed integer
---@field ops_cancelled integer cancels that were asked for
---@field ops_in_flight integer
---@field ops table<string, integer> in flight, by name
---@field ops_live integer records in use, results not collected included
---@field turns integer of the loop
---@field enters integer system calls made to submit or wait
---@field accepts_parked integer clients that came while nobody waited
---@field accepts_dropped integer clients closed with their listener
---@field served_idle integer connections that `serve`'s idle limit ended
---@field parked integer clients that wait in listeners, now
---@field bytes_in integer received by streams
---@field bytes_out integer sent by streams
---@field enobufs integer receives that found the pool empty
---@field buffers_taken integer of the pool, now
---@field buffers_free integer
---@field buffers_lent integer `proa.buffer`s of the process that operations use
---@field buffer_bytes integer in live `proa.buffer`s of the process
---@field handles integer descriptors
---@field streams integer that are not closed for good
---@field queued_bytes integer in the queues of all streams
---@field lingering integer streams that close in the background
---@field deadlines integer
---@field tasks integer that live
---@field tasks_ready integer of them, those that wait for their turn
---@field tasks_ended integer
---@field resumes integer

--- Counters since the start, and what there is now. All of it is counted
--- anyway; asking looks at each operation in flight once.
---@return proa.stats
function proa.stats() end

--- For a loop around proa's: run the tasks that are ready, hand over what they
--- asked for, and take what has come. Not for tasks.
---@param timeout? number seconds to wait for something to do; default 0
---@return integer live tasks
function proa.step(timeout) end

--- A descriptor that is readable when `step` has something to do; only to be
--- waited for. It stays the same.
---@return integer? descriptor
---@return string? message
---@return string? code ENOTSUP: the simulation has none
function proa.pollfd() end

--- When `step` has something to do although `pollfd` says nothing: a loop asks
--- this each time before it waits.
---@return number? seconds 0: now; nil: never
function proa.timeout_hint() end

--- The runtime as an object with the methods pollfd, events and timeout, for
--- `cqueues.poll`; and `step`.
---@return table
function proa.pollable() end

--- A value that each task has for itself and hands on to what it spawns: the
--- number of a request, a logger, a user.
---@param default? any what `get` returns where nothing was set
---@return proa.task_local
function proa.task_local(default) end

-- -- time --

--- Wait. 0 or less lets one turn of the loop pass.
---@param seconds number
function proa.sleep(seconds) end

--- Let the other tasks that are ready run first.
function proa.yield() end

--- A monotonic clock; its zero means nothing.
---@return number seconds
function proa.now() end

--- Iterate in step with the clock: `for n in proa.interval(1) do`. Rounds that
--- were missed are skipped, not made up for.
---@param seconds number above 0
---@return fun(): integer count of periods that have passed
function proa.interval(seconds) end

--- Wait for a signal, then end servers: they are closed, and who is being
--- served has time to end; a second signal, or the end of that time, ends all
--- at once. The servers run elsewhere: listeners that a task serves, or whatever
--- has `close()`; where a server has `drain()` that is waited for, where it has
--- `abort()` that is called to end at once. The signals have no effect of their
--- own meanwhile, and their former one afterwards.
---@param names string|integer|(string|integer)[] "TERM", {"TERM", "INT"}
---@param ... any servers; at last, if wanted, { drain = seconds }, default 30
---@return string|integer name the first signal, as it was written
---@return boolean drained all were served to the end
function proa.serve_until(names, ...) end

-- -- tasks that end together, cancelling --

---@class proa.scope_options
---@field on_error? "cancel"|"collect" default "cancel": the first task that
---  fails cancels the function and the others. "collect": the others go on
---@field limit? integer how many of its tasks run at once, at least 1; default:
---  no limit. `s:spawn` waits for its turn

--- Run a function that starts tasks, and return when all of them have ended.
--- The first task that fails cancels the function and the other tasks, and its
--- error is raised here when they have ended: a string as it was, followed by
--- a line `raised in task #4 "name" (file:line of its spawn):` and the task's
--- traceback (match its beginning, as with any message); any other value
--- unchanged, with the traceback in `s:errors()`. What further tasks raise
--- while they are cancelled goes to `on_error`. An error of the function itself
--- cancels the tasks and is raised unchanged. A cancellation from outside
--- reaches the function and its tasks, and is raised when they have ended.
--- What `proa.spawn` starts inside is waited for and cancelled like a task of
--- the scope, but its errors are for whoever awaits it, as in a `run`.
--- Without a function it gives a scope for a `<close>` variable, to be used in
--- the block where it is made: the end of the block waits for its tasks, or
--- cancels them first when an error leaves the block.
---@param fn? fun(s: proa.scope): ... runs in the calling task
---@param options? proa.scope_options unknown keys raise
---@return any ... fn's results; with "collect" the list of failures
---  (`proa.scope_failure[]`, empty: none) before them; nil, message,
---  "CANCELLED" when `s:cancel` ended fn; without fn: a `proa.scope`
---@overload fun(options: proa.scope_options): proa.scope
function proa.scope(fn, options) end

--- Bound a function: when the time is up it is cancelled where it waits. If it
--- ends all the same, even late, its results count. Limits nest: the outermost
--- that is over wins, and each ends only what is inside it. Without a function:
--- a limit for the rest of a block, as a `<close>` variable.
---@param seconds number
---@param fn? fun(...): ... given as nil it raises
---@param ... any its arguments
---@return any ... fn's results; nil, "timed out", "TIMEOUT"; without fn: a
---  `proa.timeout`
function proa.timeout(seconds, fn, ...) end

--- The same, up to a time of `proa.now`'s clock.
---@param time number
---@param fn? fun(...): ... given as nil it raises
---@param ... any its arguments
---@return any ... fn's results; nil, "timed out", "TIMEOUT"; without fn: a
---  `proa.timeout`
function proa.deadline(time, fn, ...) end

--- Run a function whose awaits no cancellation from outside reaches: for
--- cleaning up. Limits set inside it work.
---@param fn fun(...): ...
---@param ... any its arguments
---@return any ... fn's results
function proa.shield(fn, ...) end

--- Run a function at the end of a block, however that ends: for a `<close>`
--- variable. It may await: it runs under a shield. An error in it replaces the
--- one that left the block. It runs once.
---@param fn fun(err: any) the error that left the block, or nil
---@return any defer to be kept in a `<close>` variable
function proa.defer(fn) end

--- Is this caught error a cancellation? Whoever catches one cleans up and
--- raises it again; it is raised again at the next await anyway.
---@param err any a cancellation is a `proa.cancelled`, with its `reason`
---@return boolean
function proa.is_cancelled(err) end

-- -- several at once --

--- Wait for the first of several. Nothing is taken from those that are not
--- chosen; functions become tasks that are cancelled before it returns (what
--- such a function has taken itself is its own to keep). Of several that are
--- ready each gets its turn.
---@param entries table<string|number, proa.awaitable|fun(): ...> by name;
---  `timeout`: seconds
---@return any name "timeout" alone when the time was up
---@return any ... what the entry gives: of a listener accept's results, of a
---  channel recv's, of a mutex a guard
function proa.select(entries) end

--- An entry of `select`, `all`, `any` and `race` that sends these values when it
--- is chosen; it can be used again.
---@param ch proa.channel
---@param ... any as `ch:send`
---@return proa.sending
function proa.sending(ch, ...) end

--- Wait for all. An entry fails when it raises, which is raised here, or when
--- it returns nil and a message. What functions started is then cancelled; what
--- else they raise is only logged (`on_log`).
---@param list (proa.awaitable|fun(): ...)[] also `limit = n`: at most n functions
---  at a time; `collect = true`: failures are collected instead
---@return any[]? results the first result of each; nil: failed
---@return string|table|nil message of the first failure; with collect: errors by index
---@return string? code
---@return integer? index of the entry
function proa.all(list) end

--- Wait for the first success.
---@param list (proa.awaitable|fun(): ...)[] also `limit` and `collect`
---@return any ... its results; nil, message, code, index of the last failure
---  when all have failed; with collect: results, errors, both by index
function proa.any(list) end

--- Wait for the first end, success or not; an error is raised.
---@param list (proa.awaitable|fun(): ...)[] also `limit` and `collect`
---@return any ... its results; with collect: results, errors, both by index
function proa.race(list) end

---@class proa.each_options
---@field limit? integer so many calls at a time; default: all at once
---@field collect? boolean failures are collected instead of ending the rest

--- Call a function for each value of a list, side by side.
---@param list any[]
---@param fn fun(value: any, index: integer): ... fails as an entry of `all`
---@param options? proa.each_options
---@return any[]? results as `all`, in the order of the list
---@return string|table|nil message
---@return string? code
---@return integer? index
function proa.map(list, fn, options) end

--- Call a function for each value of a list or an iterator, side by side. The
--- iterator is asked only when there is room for another call. It may await.
---@param source any[]|fun(): ... a list: fn(value, index); an iterator, a
---  channel: fn of what it gives, until nil
---@param fn fun(...): ... fails as an entry of `all`
---@param options? proa.each_options
---@return integer? count of calls; nil: one failed
---@return string|table|nil message of the first failure; with collect: errors by index
---@return string? code
---@return integer? index of the call
function proa.each(source, fn, options) end

-- -- between tasks --

--- A channel.
---@param capacity? integer messages that it queues; 0, the default: a send waits
---  for a recv
---@return proa.channel
function proa.channel(capacity) end

--- A broadcast.
---@param kept integer messages that a subscription may be behind
---@return proa.broadcast
function proa.broadcast(kept) end

-- -- futures and bytes --

--- A result that is not there yet, to be set by hand.
---@return proa.future
function proa.future() end

--- Make a function that awaits of one that calls back: the callback comes
--- behind its arguments, and what it is first called with is returned. An error
--- that fn raises is raised; later calls of the callback return false.
---@param fn fun(...): ...
---@return fun(...): ...
function proa.from_callback(fn) end

--- Owned bytes outside Lua's heap, which operations can borrow.
---@param what integer|string so many zero bytes, or a copy of the string's
---@return proa.buffer
function proa.buffer(what) end

return proa
