---@meta _
-- proa.sync: tasks that take turns, wait for each other, and keep to a rate.
-- All are fair: who has waited longest goes first. Who is cancelled or times
-- out while it waits has taken nothing; what it was given in the same moment it
-- has, and the cancellation comes at its next await.
-- SPDX-License-Identifier: MIT

---@class proa.sync
local sync = {}

--- One task at a time.
---@return proa.mutex
function sync.mutex() end

--- So many at a time.
---@param n integer permits there are
---@param max? integer the most there can be; default: n. `semaphore(0, max)`
---  is for permits that others release
---@return proa.semaphore
function sync.semaphore(n, max) end

--- A flag to wait for. Not set at first.
---@return proa.event
function sync.event() end

--- To wait, with a mutex, until something holds.
---@return proa.cond
function sync.cond() end

--- A count to wait for; 0 at first.
---@return proa.waitgroup
function sync.waitgroup() end

--- A token bucket: `rate` tokens a second, at most `burst` saved up; full at
--- first.
---@param rate number tokens a second
---@param burst? number at least 1; default: 1
---@return proa.limiter
function sync.limiter(rate, burst) end

--- Its owner is a task, or the main chunk. As an entry of `select` it gives a
--- guard.
---@class proa.mutex
local mutex = {}

--- `local guard <close> = m:lock()`: until the end of the block. Raises when
--- the task holds it already.
---@param timeout? number seconds; default: none
---@return proa.guard? guard nil, message, "TIMEOUT"
function mutex:lock(timeout) end

--- The same without waiting.
---@return proa.guard? guard nil, message, "EAGAIN": it is held
function mutex:try_lock() end

--- What closing the guard does; its close does nothing then. Raises when it is
--- not locked, or by another task.
function mutex:unlock() end

---@return boolean
function mutex:locked() end

--- As an entry of `select` it gives a guard for one permit.
---@class proa.semaphore
local semaphore = {}

--- `local guard <close> = s:acquire()`: until the end of the block.
---@param n? integer permits; default: 1
---@param timeout? number seconds; default: none
---@return proa.guard? guard nil, message, "TIMEOUT"
function semaphore:acquire(n, timeout) end

--- The same without waiting.
---@param n? integer permits; default: 1
---@return proa.guard? guard nil, message, "EAGAIN"
function semaphore:try_acquire(n) end

--- Give permits back without their guard, from any task. Raises when there
--- would be more than `max`.
---@param n? integer permits; default: 1
function semaphore:release(n) end

---@return integer permits that are free
function semaphore:permits() end

--- Who has it holds a mutex or permits. `<close>` gives them back; collecting it
--- does not.
---@class proa.guard
local held = {}

--- Give back. Idempotent. Raises when it is another task's mutex.
function held:close() end

---@return boolean held not given back yet
function held:held() end

--- As an entry of `select` it is ready while set.
---@class proa.event
local event = {}

--- Until it is set. Who waits when it is set goes on, even if it is cleared at
--- once.
---@param timeout? number seconds; default: none
---@return boolean? set true; nil, message, "TIMEOUT"
function event:wait(timeout) end

--- Let all go on that wait, and who comes until clear.
function event:set() end

--- From now on it is to be waited for again.
function event:clear() end

---@return boolean
function event:is_set() end

---@class proa.cond
local cond = {}

--- Let go of the mutex, wait to be notified, and have the mutex again, however
--- it ends: also when it times out or is cancelled. Check the condition in a
--- loop: others may have been there first.
---@param guard proa.guard of a mutex that this task holds
---@param timeout? number seconds; default: none
---@return boolean? notified true; nil, message, "TIMEOUT"
function cond:wait(guard, timeout) end

--- Wake who has waited longest. The mutex need not be held.
---@param n? integer so many of them; default: 1
---@return integer woken
function cond:notify(n) end

--- Wake all that wait.
---@return integer woken
function cond:notify_all() end

--- `#wg` is the count. As an entry of `select` it is ready at 0.
---@class proa.waitgroup
local waitgroup = {}

--- There is more to wait for.
---@param n? integer default: 1
function waitgroup:add(n) end

--- One is done. Raises when none is left.
function waitgroup:done() end

--- Until the count is 0.
---@param timeout? number seconds; default: none
---@return boolean? done true; nil, message, "TIMEOUT"
function waitgroup:wait(timeout) end

--- As an entry of `select` it takes one token.
---@class proa.limiter
local limiter = {}

--- Take tokens; waits until there are enough.
---@param n? number at most the burst; default: 1
---@param timeout? number seconds; default: none
---@return boolean? taken true; nil, message, "TIMEOUT"
function limiter:take(n, timeout) end

--- The same without waiting.
---@param n? number default: 1
---@return boolean? taken true; nil, message, "EAGAIN"
function limiter:try_take(n) end
