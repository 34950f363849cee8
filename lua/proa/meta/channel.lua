---@meta _
-- Channels and broadcasts: how tasks hand each other values.
-- SPDX-License-Identifier: MIT

--- A bounded queue between tasks, made by `proa.channel`. Tasks that wait are
--- served in their order. Also `for v in ch do`, which ends when it is closed
--- and empty; `#ch` is how many messages are queued; `<close>` closes it. As an
--- entry of `select` it is its `recv`; `proa.sending` is its `send`.
---@class proa.channel
local channel = {}

--- Hand over one or several values, as one message; waits while the channel is
--- full, or, without places, until somebody receives. Who is cancelled while it
--- waits has sent nothing.
---@param ... any the first is not nil (that is the end); 200 at most
---@return boolean? sent true; nil, message, "CLOSED"
function channel:send(...) end

--- The same with a limit.
---@param seconds number
---@param ... any
---@return boolean? sent true; nil, message, "CLOSED" or "TIMEOUT"
function channel:send_within(seconds, ...) end

--- The same without waiting.
---@param ... any
---@return boolean? sent true; nil, message, "CLOSED" or "EAGAIN" (it is full)
function channel:try_send(...) end

--- The next message; waits for one. What a task was handed it also gets when it
--- is cancelled just then; the cancellation comes at its next await.
---@param timeout? number seconds; default: none
---@return any ... the values; nil alone: closed, and nothing is left; nil,
---  message, "TIMEOUT"
function channel:recv(timeout) end

--- The same without waiting.
---@return any ... as recv; nil, message, "EAGAIN": there is nothing
function channel:try_recv() end

--- Nothing more can be sent: who waits to send gets CLOSED. What is queued can
--- be received still. Idempotent.
function channel:close() end

---@return boolean
function channel:closed() end

---@return integer capacity messages it queues; 0: a send and a recv meet
function channel:capacity() end

--- Made by `proa.sending`, for `select`.
---@class proa.sending

--- One sender's messages for many, made by `proa.broadcast`. Sending never
--- waits. `<close>` closes it.
---@class proa.broadcast
local broadcast = {}

--- To all that subscribe now.
---@param ... any as channel:send
---@return integer? subscribers that will see it; nil, message, "CLOSED"
function broadcast:send(...) end

--- See what is sent from now on.
---@return proa.subscription
function broadcast:subscribe() end

--- Subscriptions end when they have read what there is. Idempotent.
function broadcast:close() end

--- A place in a broadcast's messages. Also `for v in subscription do`, which
--- raises when it was too slow; an entry of `select`. `<close>` and collecting
--- it end the subscription.
---@class proa.subscription
local subscription = {}

--- The next message; waits for one.
---@param timeout? number seconds; default: none
---@return any ... the values; nil alone: closed, and nothing is left; nil,
---  message, "TIMEOUT"; nil, message, "LAGGED", missed: so many messages are
---  lost, because it fell behind by more than the broadcast keeps; the next call
---  gives the oldest that is there
function subscription:recv(timeout) end

--- The same without waiting.
---@return any ... as recv; nil, message, "EAGAIN": there is nothing
function subscription:try_recv() end

--- Idempotent.
function subscription:close() end
