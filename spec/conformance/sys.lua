--- Rows of the conformance table: nop, timer, ready, resolve, name.
-- SPDX-License-Identifier: MIT

local assert = require "luassert"
local helper = require "spec.helper"
local kit = require "spec.conformance.kit"
local proa = require "proa"

local op, fd = proa.op, proa.fd

local no_bytes = "it moves no bytes"
local no_stream = "it reads no stream"
local no_descriptor = "it has no descriptor"

return {
  nop = {
    success = function() assert.same({ true, n = 1 }, kit.results(op.nop())) end,
    short = no_bytes,
    eof = no_stream,
    error = "nothing can go wrong",
    before = function() kit.cancels_or(true, op.nop()) end,
    after = function() kit.too_late(true, op.nop()) end,
    close = no_descriptor,
  },

  timer = {
    success = function()
      local start = proa.now()
      assert.is_true(op.timer(0.01):await())
      assert.is_true(proa.now() - start > 0.0099)
    end,
    short = no_bytes,
    eof = no_stream,
    error = "nothing can go wrong",
    before = function() kit.cancels(op.timer(3600)) end,
    after = function() kit.too_late(true, op.timer(0)) end,
    close = no_descriptor,
  },

  ready = {
    success = function()
      local a, b = fd.pair()
      assert.equal("w", op.ready(a, "w"):await())
      local reads = op.ready(a, "r")
      helper.turns()
      assert.is_false((reads:poll()))
      kit.sent(b, "x")
      assert.equal("r", reads:await())
      assert.equal("rw", op.ready(a, "rw"):await())
    end,
    short = no_bytes,
    eof = function()
      local a, b = fd.pair()
      b:close()
      assert.equal("r", op.ready(a, "r"):await())
    end,
    error = "an error of the socket makes it ready, as in poll(2)",
    before = function()
      local a <close>, _ = fd.pair()
      kit.cancels(op.ready(a, "r"))
    end,
    after = function()
      local a <close>, _ = fd.pair()
      kit.too_late("w", op.ready(a, "w"))
    end,
    close = function()
      local a, _ <close> = fd.pair()
      kit.closes(op.ready(a, "r"), a)
    end,
  },

  resolve = {
    success = function()
      assert.same({ { "127.0.0.1:80" }, n = 1 },
        kit.results(op.resolve("127.0.0.1", "80")))
      assert.same({ "[::1]:443" }, (op.resolve("::1", "443"):await()))
    end,
    short = no_bytes,
    eof = no_stream,
    error = function()
      kit.fails("EAI_SERVICE", op.resolve("127.0.0.1", "no-such-service"))
    end,
    before = function()
      local future = op.resolve("127.0.0.1", "80")
      future:cancel()
      local list, message, code = future:await()
      if not list then
        assert.is_string(message)
        assert.equal("CANCELLED", code)
      end
    end,
    after = function()
      local future = op.resolve("127.0.0.1", "80")
      helper.wait_until(function() return future:poll() end)
      assert.is_false(future:cancel())
      assert.same({ "127.0.0.1:80" }, (future:await()))
    end,
    close = no_descriptor,
  },

  name = {
    success = function() -- it has none where the machine knows no localhost
      local name, _, code = op.name("127.0.0.1:0"):await()
      assert.matches(name and "^[%w.-]+$" or "^EAI_", name or code)
    end,
    short = no_bytes,
    eof = no_stream,
    error = function()
      -- of a documentation network (RFC 5737); where even that has a name, or
      -- nobody answers, it is not told within the limit of the test
      local name, message, code = op.name("192.0.2.7:80"):await(5)
      if not name then
        assert.is_string(message)
        assert.matches("^EAI_", code == "TIMEOUT" and "EAI_AGAIN" or code)
      end
    end,
    before = function()
      local future = op.name("127.0.0.1:0")
      future:cancel()
      local name, message, code = future:await()
      if not name then
        assert.is_string(message)
        assert.equal("CANCELLED", code)
      end
    end,
    after = function()
      local future = op.name("127.0.0.1:0")
      helper.wait_until(function() return future:poll() end)
      assert.is_false(future:cancel())
      local name, message = future:await()
      assert.is_string(name or message)
    end,
    close = no_descriptor,
  },
}
