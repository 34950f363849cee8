---@meta _
-- Tasks and futures.
-- SPDX-License-Identifier: MIT

--- A coroutine that the executor runs; made by `proa.spawn`.
---@class proa.task
local task = {}

--- Wait for its end. The limit ends the wait, not the task.
---@param timeout? number seconds; default: none
---@return any ... its results, as often as one asks; raises its error; nil,
---  "the task was cancelled", "CANCELLED"; nil, "timed out", "TIMEOUT"
function task:await(timeout) end

--- Cancel it: an error is raised where it waits, at once or at its next await.
--- An operation that has ended already delivers its result first.
---@param reason? string `reason` of the error, and in what awaiting it returns;
---  the first one counts
---@return boolean live false: it had ended already
function task:cancel(reason) end

---@return "ready"|"running"|"waiting"|"ended"|"failed"|"cancelled" state
---@return string? verb of a waiting one: "read", "accept", "sleep" ...
function task:status() end

--- Its name in messages; at most 23 bytes are kept.
---@param name? string
---@return proa.task|string result itself after setting, else the name ("": none)
function task:name(name) end

--- A number that no other task of this Lua state has.
---@return integer
function task:id() end

--- `run` does not wait for it: it is cancelled when only such tasks are left.
---@return proa.task itself
function task:background() end

--- Where it waits, or where its error was raised.
---@return string? traceback nil when it has ended well
function task:traceback() end

--- A value that each task has for itself; made by `proa.task_local`. A task
--- starts with what its spawner had when it spawned it; what it sets later is
--- its own. The main chunk has values too.
---@class proa.task_local
local task_local = {}

---@return any value of the running task, or the default
function task_local:get() end

--- Set it for the running task, and for what that spawns from now on.
---@param value any nil is a value as well
function task_local:set(value) end

--- Run a function with another value, which is gone when it ends. A generator
--- that yields inside takes the value along. Where an await would be refused,
--- this is.
---@param value any
---@param fn fun(...): ...
---@param ... any its arguments
---@return any ... fn's results
function task_local:with(value, fn, ...) end

--- A result that is not there yet: of an operation (`proa.op`), or set by hand
--- (`proa.future`).
---@class proa.future
local future = {}

--- Wait for it. The limit, or a cancellation of the task, ends the wait, not
--- the operation.
---@param timeout? number seconds; default: none
---@return any ... the results, as often as one asks; raises what `fail` was
---  given; nil, message, "CANCELLED" when it was cancelled; nil, "timed out",
---  "TIMEOUT"
function future:await(timeout) end

--- Look without waiting.
---@return boolean done
---@return any ... the results, as `await`; raises like it
function future:poll() end

--- Of an operation: a request, the answer is its own result (nil, message,
--- "CANCELLED", or success when the cancel came too late). By hand: at once.
---@return boolean pending false: it was over already
function future:cancel() end

--- Give it its values and wake who waits. Not for the future of an operation;
--- raises when it is set or failed already.
---@param ... any
---@return boolean pending false: it was cancelled meanwhile
function future:set(...) end

--- Let `await` raise this error.
---@param err any
---@return boolean pending false: it was cancelled meanwhile
function future:fail(err) end
