--- Rows of the conformance table: operations on descriptors of files, and
-- open.
-- SPDX-License-Identifier: MIT

local assert = require "luassert"
local helper = require "spec.helper"
local kit = require "spec.conformance.kit"
local core = require "proa.core"
local proa = require "proa"

local op, fd = proa.op, proa.fd

local no_bytes = "it moves no bytes"
local no_stream = "it reads no stream"

--- A row of an op on a file: success(file, path), what fails (or why nothing
-- does), and the arguments of one that succeeds.
local function on_file(name, success, fails, ...)
  local arguments = table.pack(...)
  local function start(file)
    return op[name](file, table.unpack(arguments, 1, arguments.n))
  end
  return {
    success = function()
      local file <close>, path = kit.file "hello"
      success(file, path)
    end,
    short = no_bytes,
    eof = no_stream,
    error = fails,
    before = function()
      local file <close> = kit.file "hello"
      local future = start(file)
      future:cancel()
      local value, _, code = future:await()
      if value == nil then assert.equal("CANCELLED", code) end
    end,
    after = function()
      local file <close> = kit.file "hello"
      local future = start(file)
      helper.wait_until(function() return future:poll() end)
      assert.is_false(future:cancel())
      assert.is_truthy(future:await())
    end,
    close = function() -- it may have been too quick for that
      local file = kit.file "hello"
      local future = start(file)
      file:close()
      local value, _, code = future:await()
      if value == nil then assert.equal("CLOSED", code) end
    end,
  }
end

--- A row of an op from one file to another: success(to, from, path of to), the
-- arguments of one, and the code when `to` is only open to be read.
local function two_files(name, success, arguments, code)
  local function files(mode)
    local from = kit.file "hello world"
    local path = helper.temp_file("to", ".........")
    return assert(op.open(path, mode or "r+"):await()), from, path
  end
  return {
    success = function()
      local to, from, path = files()
      success(to, from, path)
      to:close()
      from:close()
    end,
    short = "it gives what there is",
    eof = "its result is 0 there",
    error = function()
      local to, from = files "r"
      kit.fails(code, op[name](arguments(to, from)))
      to:close()
      from:close()
    end,
    before = function()
      local to, from = files()
      local future = op[name](arguments(to, from))
      future:cancel()
      local n, _, why = future:await()
      if not n then assert.equal("CANCELLED", why) end
      to:close()
      from:close()
    end,
    after = function()
      local to, from = files()
      kit.too_late(5, op[name](arguments(to, from)))
      to:close()
      from:close()
    end,
    close = function() -- neither number is used again before it has ended
      local to, from = files()
      local future = op[name](arguments(to, from))
      from:close()
      to:close()
      local n, _, why = future:await()
      if not n then assert.equal("CLOSED", why) end
    end,
  }
end

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

  open_waiting = {
    success = function() -- the two ends of a FIFO wait for each other
      local path = helper.temp "fifo"
      helper.shell(("mkfifo '%s'"):format(path))
      local writer = op.open_waiting(path, "w")
      local r <close> = assert(op.open_waiting(path):await())
      local w <close> = assert(writer:await())
      assert.equal(5, op.write(w, "hello"):await())
      local buffer = proa.buffer(5)
      assert.equal(5, op.read(r, buffer):await())
      assert.equal("hello", buffer:string())
    end,
    short = no_bytes,
    eof = no_stream,
    error = function()
      kit.fails("ENOENT", op.open_waiting(helper.temp "nothing"))
      helper.temp_file("file", "")
      kit.fails("EEXIST", op.open_waiting(helper.temp "file", "wx"))
    end,
    before = function()
      local path = helper.temp "fifo"
      helper.shell(("mkfifo '%s'"):format(path))
      kit.cancels(op.open_waiting(path, "w"))
    end,
    after = function()
      local future = op.open_waiting(helper.temp_file("file", ""))
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

  readv = {
    success = function()
      local file <close> = kit.file "hello world"
      local a, b = proa.buffer(3), proa.buffer(4)
      assert.equal(7, op.readv(file, { a, b }, 2):await())
      assert.equal("llo", a:string())
      assert.equal(" wor", b:string())
      assert.equal(7, op.readv(file, { a, b }):await())
      assert.equal("hel", a:string())
    end,
    short = function()
      local file <close> = kit.file "hello"
      local a, b = proa.buffer "..", proa.buffer "....."
      assert.equal(4, op.readv(file, { a, b }, 1):await())
      assert.equal("el", a:string())
      assert.equal("lo...", b:string())
    end,
    eof = function()
      local file <close> = kit.file "hello"
      local list = { proa.buffer(1), proa.buffer(1) }
      assert.same({ nil, n = 1 }, kit.results(op.readv(file, list, 5)))
    end,
    error = function()
      local file <close> = kit.file("hello", "w")
      kit.fails("EBADF", op.readv(file, { proa.buffer(1) }, 0))
      local buffer = proa.buffer(1)
      assert.match("twice",
        helper.error_of(op.readv, file, { buffer, buffer }, 0))
      assert.equal(1, #buffer)
    end,
    before = function()
      local r <close>, w = fd.pipe()
      local buffer = proa.buffer(2)
      local future = op.readv(r, { buffer })
      assert.match("in use by readv", helper.error_of(buffer.string, buffer))
      kit.cancels(future)
      assert.equal(2, op.write(w, "ab"):await())
      assert.equal(2, op.readv(r, { buffer }):await())
      assert.equal("ab", buffer:string())
    end,
    after = function()
      local file <close> = kit.file "hello"
      local buffer = proa.buffer(5)
      kit.too_late(5, op.readv(file, { buffer }, 0))
      assert.equal("hello", buffer:string())
    end,
    close = function()
      local r, _ <close> = fd.pipe()
      local buffer = proa.buffer(2)
      kit.closes(op.readv(r, { buffer }), r)
      assert.equal(2, #buffer)
    end,
  },

  writev = {
    success = function()
      local file <close>, path = kit.file "hello world"
      assert.equal(5, op.writev(file, { "th", "", "ere" }, 6):await())
      assert.equal(2, op.writev(file, { "H", "E" }):await())
      assert.equal("HEllo there", helper.read_file(path))
    end,
    short = function() -- a pipe takes it in pieces; the result is all
      local r <close>, w = fd.pipe()
      local bytes = ("0123456789abcdef"):rep(8192)
      local future = op.writev(w, { bytes, "-", bytes, bytes })
      local reader = proa.spawn(kit.drain, r, "read")
      assert.equal(3 * #bytes + 1, future:await())
      w:close()
      assert.is_true(reader:await() == bytes .. "-" .. bytes .. bytes)
    end,
    eof = "a reader that is gone is an error",
    error = function()
      local r, w <close> = fd.pipe()
      assert.is_true(op.close(r):await())
      kit.fails("EPIPE", op.writev(w, { "x" }))
      local file <close> = kit.file("hello", "r")
      kit.fails("EBADF", op.writev(file, { "x", "y" }, 0))
    end,
    before = function()
      local r <close>, w = fd.pipe()
      local n = kit.fill(w, "write")
      kit.cancels(op.writev(w, { "x" }))
      w:close()
      assert.equal(n, #kit.drain(r, "read"))
    end,
    after = function()
      local file <close>, path = kit.file ""
      kit.too_late(5, op.writev(file, { "hel", "lo" }, 0))
      assert.equal("hello", helper.read_file(path))
    end,
    close = function()
      local r <close>, w = fd.pipe()
      kit.fill(w, "write")
      kit.closes(op.writev(w, { "x" }), w)
      kit.drain(r, "read")
    end,
  },

  fstat = on_file("fstat", function(file)
    assert.equal(5, op.fstat(file):await().size)
    local r <close>, _ = fd.pipe()
    local _ <close> = _
    assert.equal("fifo", op.fstat(r):await().type)
  end, "every descriptor has one"),

  truncate = on_file("truncate", function(file, path)
    assert.is_true(op.truncate(file, 2):await())
    assert.equal("he", helper.read_file(path))
    assert.is_true(op.truncate(file, 4):await())
    assert.equal("he\0\0", helper.read_file(path))
  end, function()
    local file <close> = kit.file("hello", "r")
    kit.fails("EINVAL", op.truncate(file, 1))
  end, 3),

  allocate = on_file("allocate", function(file, path)
    assert.is_true(op.allocate(file, 0, 8192):await())
    assert.equal(8192, #helper.read_file(path))
    assert.is_true(op.allocate(file, 0, 4096, true):await())
    assert.equal(("\0"):rep(8192), helper.read_file(path))
  end, function()
    local file <close> = kit.file("hello", "r")
    kit.fails("EBADF", op.allocate(file, 0, 1))
  end, 0, 4096),

  flock = on_file("flock", function(file, path)
    assert.is_true(op.flock(file):await())
    local other <close> = assert(op.open(path):await())
    kit.fails("EBUSY", op.flock(other, "shared"))
    assert.is_true(op.flock(file, "shared"):await())
    assert.is_true(op.flock(other, "shared"):await())
    assert.is_true(op.flock(file, "none"):await())
    assert.is_true(op.flock(other, "exclusive"):await())
  end, function()
    assert.match("invalid option", helper.error_of(op.flock, 0, "maybe"))
  end, "shared"),

  copy_range = two_files("copy_range", function(to, from, path)
    assert.equal(5, op.copy_range(to, 2, from, 6, 5):await())
    assert.equal("..world..", helper.read_file(path))
    assert.equal(0, op.copy_range(to, 0, from, 11, 5):await())
  end, function(to, from) return to, 0, from, 0, 5 end, "EBADF"),

  sendfile = {
    success = function()
      local from <close> = kit.file "hello world"
      local a <close>, b = fd.pair()
      local _ <close> = b
      local n = op.sendfile(a, from, 6, 100):await()
      assert.is_true(n >= 1 and n <= 5) -- what the socket took
      assert.equal(("world"):sub(1, n), kit.received(b, n))
      assert.equal(0, op.sendfile(a, from, 11, 100):await())
    end,
    short = function() -- what the socket takes
      local from <close> = kit.file(("x"):rep(4 << 20))
      local a, b <close> = fd.pair()
      local sent = op.sendfile(a, from, 0, 4 << 20):await()
      assert.is_true(sent > 0 and sent < 4 << 20)
      a:close()
      assert.equal(sent, #kit.drain(b))
    end,
    eof = "it writes",
    error = function()
      local from <close> = kit.file "hello"
      local a <close>, b = fd.pair()
      assert.is_true(op.close(b):await())
      kit.fails("EPIPE", op.sendfile(a, from, 0, 5))
    end,
    before = function()
      local from <close> = kit.file "hello"
      local a <close>, b = fd.pair()
      local _ <close> = b
      local future = op.sendfile(a, from, 0, 5)
      future:cancel()
      local n, _, code = future:await()
      if not n then assert.equal("CANCELLED", code) end
      a:close()
      assert.equal(("hello"):sub(1, n or 0), kit.drain(b))
    end,
    after = function()
      local from <close> = kit.file "hello"
      local a <close>, b = fd.pair()
      local _ <close> = b
      local future = op.sendfile(a, from, 0, 5)
      helper.wait_until(function() return future:poll() end)
      assert.is_false(future:cancel())
      local n = future:await()
      assert.equal(("hello"):sub(1, n), kit.received(b, n))
    end,
    close = function() -- neither number is used again before it has ended
      local from = kit.file "hello"
      local a, b <close> = fd.pair()
      local future = op.sendfile(a, from, 0, 5)
      from:close()
      a:close()
      local n, _, code = future:await()
      if not n then assert.equal("CLOSED", code) end
      assert.equal(("hello"):sub(1, n or 0), kit.drain(b))
    end,
  },

  entries = {
    success = function()
      local _, path = kit.file "hello"
      local dir <close> = assert(op.open(path:match "^(.*)/", "r"):await())
      assert.same({ "file", "file" }, op.entries(dir):await())
      assert.is_nil(op.entries(dir):await())
    end,
    short = "it gives as many as fit",
    eof = function()
      local _, path = kit.file "hello"
      local dir <close> = assert(op.open(path:match "^(.*)/", "r"):await())
      op.entries(dir):await()
      assert.same({ nil, n = 1 }, kit.results(op.entries(dir)))
    end,
    error = function()
      local file <close> = kit.file "hello"
      kit.fails("ENOTDIR", op.entries(file))
    end,
    before = function()
      local _, path = kit.file "hello"
      local dir <close> = assert(op.open(path:match "^(.*)/", "r"):await())
      local future = op.entries(dir)
      future:cancel()
      local list, _, code = future:await()
      if not list then assert.equal("CANCELLED", code) end
    end,
    after = function()
      local _, path = kit.file "hello"
      local dir <close> = assert(op.open(path:match "^(.*)/", "r"):await())
      local future = op.entries(dir)
      helper.wait_until(function() return future:poll() end)
      assert.is_false(future:cancel())
      assert.is_table(future:await())
    end,
    close = function()
      local _, path = kit.file "hello"
      local dir = assert(op.open(path:match "^(.*)/", "r"):await())
      local future = op.entries(dir)
      dir:close()
      local list, _, code = future:await()
      if not list then assert.equal("CLOSED", code) end
    end,
  },

  watch_add = {
    success = function()
      local watch <close> = assert(core.inotify())
      local first = op.watch_add(watch, helper.temp_file("a", ""), 2):await()
      local again = op.watch_add(watch, helper.temp "a", 2):await()
      assert.equal(first, again)
      assert.not_equal(first,
        op.watch_add(watch, helper.temp_file("b", ""), 2):await())
    end,
    short = no_bytes,
    eof = no_stream,
    error = function()
      local watch <close> = assert(core.inotify())
      kit.fails("ENOENT", op.watch_add(watch, helper.temp "missing", 2))
    end,
    before = function()
      local watch <close> = assert(core.inotify())
      kit.cancels_or(1, op.watch_add(watch, helper.temp_file("a", ""), 2))
    end,
    after = function()
      local watch <close> = assert(core.inotify())
      kit.too_late(1, op.watch_add(watch, helper.temp_file("a", ""), 2))
    end,
    close = function()
      local watch = assert(core.inotify())
      local future = op.watch_add(watch, helper.temp_file("a", ""), 2)
      watch:close()
      local wd, _, code = future:await()
      if not wd then assert.equal("CLOSED", code) end
    end,
  },
}
