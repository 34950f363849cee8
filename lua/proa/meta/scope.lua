---@meta _
-- Scopes: tasks that end together, limits and cleanups for blocks.
-- SPDX-License-Identifier: MIT

--- Tasks that end before the block that started them; made by `proa.scope`.
--- Given to its function, or kept in a `<close>` variable.
---@class proa.scope
local scope = {}

--- Start a task of the scope. Any task may, until the scope has ended. Where
--- the scope has a `limit` it waits, in order, until fewer run; a task of the
--- scope that does so takes one of the places meanwhile. In a scope that was
--- cancelled the task is cancelled at once. Raises when the scope has ended.
---@param fn fun(...): ... a failure is the scope's, awaited or not
---@param ... any its arguments
---@return proa.task
function scope:spawn(fn, ...) end

--- Cancel its function (or block) and all its tasks.
---@param reason? string `reason` of their errors
---@return boolean live false: it had ended already
function scope:cancel(reason) end

--- The failures of its tasks in the order in which they came: all with
--- `on_error = "collect"`, otherwise the one that is raised.
---@return proa.scope_failure[]
function scope:errors() end

--- What the end of the block does for a `<close>` variable: wait for its tasks,
--- and raise the error of the first that failed. Idempotent. Not for its own
--- tasks: raises.
function scope:close() end

---@class proa.scope_failure
---@field error any what was raised, as it was
---@field traceback? string of where it was raised
---@field task proa.task

--- A limit for the rest of a block; made by `proa.timeout` and `proa.deadline`
--- without a function, for a `<close>` variable. When the time is up, awaits in
--- the block raise a cancellation. Leaving the block ends that: a cancellation
--- that leaves it becomes the plain error "timed out".
---@class proa.timeout
---@field expired boolean the time was up before the block ended
local timeout = {}

--- As if the time were up, but `expired` stays false.
---@param reason? string `reason` of the error
---@return boolean open false: it has been left
function timeout:cancel(reason) end

--- Set it anew, from now on.
---@param seconds number
---@return boolean open false: it is over, or has been left
function timeout:extend(seconds) end

--- Leave it, as the end of the block does. Idempotent.
function timeout:close() end

--- The error that a cancellation raises. `tostring` tells the reason.
---@class proa.cancelled
---@field reason? string "timed out" of a timeout; what was given to `cancel`;
---  why its scope was cancelled
