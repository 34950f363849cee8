--- Rows of the conformance table: read, write, open, fsync.
-- SPDX-License-Identifier: MIT

local assert = require "luassert"
local helper = require "spec.helper"
local kit = require "spec.conformance.kit"
local proa = require "proa"

local op, fd = proa.op, proa.fd

local no_bytes = "it moves no bytes"
local no_stream = "it reads no stream"

return {
  read = {
    success = function()
      local file <close> = kit.file "hello world"
      local buffer = proa.buffer(5)
      assert.same({ 5, n = 1 }, kit.results(op.read(file, buffer, 1, -1, 6)))
      assert.equal("world", buffer:string())
      assert.equal(5, op.read(file, buffer):await())
      assert.equal("hello", buffer:string())
      assert.equal(2, op.read(file, buffer, 1, 2):await())
      assert.equal(" wllo", buffer:string())
    end,
    short = function()
      local file <close> = kit.file "hello"
      local buffer = proa.buffer(100)
      assert.equal(5, op.read(file, buffer, 1, -1, 0):await())
      local r <close>, w = fd.pipe()
      assert.equal(2, op.write(w, "ab"):await())
      assert.equal(2, op.read(r, buffer):await())
      assert.equal("abllo", buffer:string(1, 5))
    end,
    eof = function()
      local file <close> = kit.file "hello"
      local buffer = proa.buffer(10)
      assert.same({ nil, n = 1 }, kit.results(op.read(file, buffer, 1, -1, 5)))
      local r <close>, w = fd.pipe()
      w:close()
      assert.same({ nil, n = 1 }, kit.results(op.read(r, buffer)))
    end,
    error = function()
      local file <close> = kit.file("hello", "w")
      kit.fails("EBADF", op.read(file, proa.buffer(1), 1, -1, 0))
    end,
    before = function()
      local r <close>, w = fd.pipe()
      local buffer = proa.buffer(2)
      kit.cancels(op.read(r, buffer))
      assert.equal(2, op.write(w, "ab"):await())
      assert.equal(2, op.read(r, buffer):await())
      assert.equal("ab", buffer:string())
    end,
    after = function()
      local file <close> = kit.file "hello"
      local buffer = proa.buffer(5)
      kit.too_late(5, op.read(file, buffer, 1, -1, 0))
      assert.equal("hello", buffer:string())
    end,
    close = function()
      local r, _ <close> = fd.pipe()
      local buffer = proa.buffer(2)
      kit.closes(op.read(r, buffer), r)
      assert.equal(2, #buffer)
    end,
  },

  write = {
    success = function()
      local file <close>, path = kit.file "hello world"
      assert.same({ 5, n = 1 }, kit.results(op.write(file, "there", 6)))
      assert.equal(2, op.write(file, proa.buffer "HExx", 1, 2):await())
      assert.equal(1, op.write(file, "L"):await())
      assert.equal("HELlo there", helper.read_file(path))
    end,
    short = function() -- a pipe takes it in pieces; the result is all
      local r <close>, w = fd.pipe()
      local bytes = ("0123456789abcdef"):rep(65536)
      local future = op.write(w, bytes)
      local reader = proa.spawn(kit.drain, r, "read")
      assert.equal(#bytes, future:await())
      w:close()
      assert.is_true(reader:await() == bytes)
    end,
    eof = "a reader that is gone is an error",
    error = function()
      local r, w <close> = fd.pipe()
      assert.is_true(op.close(r):await())
      kit.fails("EPIPE", op.write(w, "x"))
      local file <close> = kit.file("hello", "r")
      kit.fails("EBADF", op.write(file, "x", 0))
    end,
    before = function()
      local r <close>, w = fd.pipe()
      local n = kit.fill(w, "write")
      kit.cancels(op.write(w, "x"))
      w:close()
      assert.equal(n, #kit.drain(r, "read"))
    end,
    after = function()
      local file <close>, path = kit.file ""
      kit.too_late(5, op.write(file, "hello", 0))
      assert.equal("hello", helper.read_file(path))
    end,
    close = function()
      local r <close>, w = fd.pipe()
      kit.fill(w, "write")
      local buffer = proa.buffer "x"
      kit.closes(op.write(w, buffer), w)
      assert.equal("x", buffer:string())
      kit.drain(r, "read")
    end,
  },

  open = {
    success = function()
      local path = helper.temp_file("file", "hello")
      local file <close> = assert(op.open(path):await())
      local buffer = proa.buffer(5)
      assert.equal(5, op.read(file, buffer):await())
      assert.equal("hello", buffer:string())
      local new <close> = assert(op.open(helper.temp "new", "wx"):await())
      assert.equal("", helper.read_file(helper.temp "new"))
      assert.equal(1, op.write(new, "x"):await())
    end,
    short = no_bytes,
    eof = no_stream,
    error = function()
      local path = helper.temp "nothing"
      local _, message, code = op.open(path):await()
      assert.equal("ENOENT", code)
      assert.equal(("open %s: no such file or directory"):format(path),
        message)
      helper.temp_file("file", "")
      kit.fails("EEXIST", op.open(helper.temp "file", "wx"))
    end,
    before = function() -- a descriptor that nobody collects is closed
      local future = op.open(helper.temp_file("file", ""))
      future:cancel()
      local file, _, code = future:await()
      if file then file:close() else assert.equal("CANCELLED", code) end
      op.open(helper.temp "file"):cancel()
    end,
    after = function()
      local future = op.open(helper.temp_file("file", ""))
      helper.wait_until(function() return future:poll() end)
      assert.is_false(future:cancel())
      local file <close> = assert(future:await())
      assert.match("^proa.fd %d+", tostring(file))
    end,
    close = "it has no descriptor yet",
  },

  fsync = {
    success = function()
      local file <close> = kit.file "hello"
      assert.same({ true, n = 1 }, kit.results(op.fsync(file)))
      assert.is_true(op.fsync(file, true):await())
    end,
    short = no_bytes,
    eof = no_stream,
    error = function()
      local r <close>, _ = fd.pipe()
      kit.fails("EINVAL", op.fsync(r))
    end,
    before = function()
      local file <close> = kit.file "hello"
      kit.cancels_or(true, op.fsync(file))
    end,
    after = function()
      local file <close> = kit.file "hello"
      kit.too_late(true, op.fsync(file))
    end,
    close = function() -- it may have been too quick for that
      local file = kit.file "hello"
      local future = op.fsync(file)
      file:close()
      local ok, _, code = future:await()
      if not ok then assert.equal("CLOSED", code) end
    end,
  },
}
