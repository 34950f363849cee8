--- fs_copy_spec: copies from, to and between files, without Lua strings.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"

local fs = proa.fs
local it, temp, temp_file = helper.it, helper.temp, helper.temp_file

local MIB = 1 << 20
local BYTES = ("0123456789abcdef"):rep(3 * MIB // 16) .. "and the end"

local function fails(code, value, message, got)
  assert.is_nil(value)
  assert.is_string(message)
  assert.equal(code, got, message)
end

--- All that comes from a stream, in a task.
local function drain(conn)
  return proa.spawn(function() return conn:read "a" end)
end

describe("from a file to a socket", function()
  for _, kind in ipairs { { "TCP", helper.tcp_pair },
    { "a Unix socket", proa.net.pair },
    { "memory", function() return proa.net.pair { memory = true } end } } do
    it("all of it goes over, over " .. kind[1], function()
      local a <close>, b = kind[2]()
      local _ <close> = b
      local file <close> = fs.open(temp_file("file", BYTES))
      local all = drain(b)
      a:write "before "
      assert.equal(#BYTES, file:copy_to(a))
      a:write " behind"
      assert.equal(#BYTES, file:seek())
      assert.equal(0, file:copy_to(a)) -- nothing is left, nothing is written
      a:shutdown "w"
      assert.is_true(all:await() == "before " .. BYTES .. " behind")
      assert.matches("shut down", helper.error_of(file.copy_to, file, a))
    end)
  end

  it("starts at the position, with what was read ahead or put back", function()
    local a <close>, b = helper.tcp_pair()
    local _ <close> = b
    local file <close> = fs.open(temp_file("file", BYTES))
    assert.equal("0123", file:read(4))
    file:unread "!!"
    assert.equal(12, file:copy_to(a, { max = 12 }))
    assert.equal("!!456789abcd", b:read(12))
    assert.equal(14, file:seek())
    local some = proa.spawn(b.read, b, MIB)
    assert.equal(MIB, file:copy_to(a, MIB))
    assert.is_true(some:await() == BYTES:sub(15, 14 + MIB))
    assert.equal("0123", file:read_at(0, 4))
    assert.equal(BYTES:sub(15 + MIB, 24 + MIB), file:read(10))
  end)

  it("is in the order of the writers", function()
    local a <close>, b = helper.tcp_pair()
    local _ <close> = b
    local files = { fs.open(temp_file("file", BYTES)), fs.open(temp "file") }
    local all = drain(b)
    local tasks = {}
    for i = 1, 3 do
      tasks[#tasks + 1] = proa.spawn(function() a:write("<", i, ">") end)
      if i < 3 then
        tasks[#tasks + 1] = proa.spawn(function()
          files[i]:copy_to(a, { max = MIB })
          files[i]:close()
        end)
      end
      proa.yield()
    end
    for _, task in ipairs(tasks) do task:await() end
    a:shutdown "w"
    local part = BYTES:sub(1, MIB)
    assert.is_true(all:await() == "<1>" .. part .. "<2>" .. part .. "<3>")
  end)

  it("waits for a peer that takes nothing, and can be given up", function()
    local a <close>, b = helper.tcp_pair()
    local _ <close> = b
    local file <close> = fs.open(temp_file("file", BYTES:rep(4)))
    local limit, done = 0.05
    repeat -- until it was given enough time to begin
      local n, message, code
      limit = 2 * limit
      n, message, code, done = file:copy_to(a, { timeout = limit })
      assert.is_nil(n)
      assert.equal("copy: timed out", message)
      assert.equal("TIMEOUT", code)
      assert.equal(done, file:seek())
    until done > 0
    assert.is_true(done < 4 * #BYTES)
    assert.equal("TIMEOUT", select(3, file:copy_to(a, { idle = 0.05 })))
    a:timeout { idle = 0.05 }
    assert.equal("TIMEOUT", select(3, file:copy_to(a)))
    a:timeout { idle = math.huge }
    -- what went over, went over; the rest goes on from there
    local all = drain(b)
    assert.equal(4 * #BYTES - file:seek(), file:copy_to(a))
    a:shutdown "w"
    assert.is_true(all:await() == BYTES:rep(4))
  end)

  it("is patient while anything moves, in either direction", function()
    local a <close>, b = helper.tcp_pair()
    local _ <close> = b
    local file <close> = fs.open(temp_file("file", BYTES:rep(4)))
    local copied
    local copy = proa.spawn(function()
      copied = table.pack(file:copy_to(a, { idle = 0.3 }))
    end)
    local reads = proa.spawn(function() while a:read_some() do end end)
    for _ = 1, 8 do -- longer than the limit, all in all
      b:write "."
      proa.sleep(0.06)
    end
    assert.is_nil(copied)
    local n = 0
    while n < 4 * #BYTES do n = n + #b:read_some() end
    copy:await()
    assert.equal(4 * #BYTES, copied[1])
    reads:cancel()
    reads:await()
  end)

  it("loses nothing when its task is cancelled again and again", function()
    local a <close>, b = helper.tcp_pair()
    local _ <close> = b
    local file <close> = fs.open(temp_file("file", BYTES))
    local all = drain(b)
    for turns = 1, 20 do
      local task = proa.spawn(file.copy_to, file, a)
      helper.turns(turns)
      task:cancel()
      task:await()
    end
    file:copy_to(a)
    a:shutdown "w"
    assert.is_true(all:await() == BYTES)
  end)

  it("gives its turn to the next writer, whenever it is cancelled", function()
    local much, path = ("x"):rep(2 * MIB), temp_file("file", "middle")
    for turns = 0, 30 do
      local a <close>, b = helper.tcp_pair()
      local _ <close> = b
      local file <close> = fs.open(path)
      local first = proa.spawn(a.write, a, much)
      local copy = proa.spawn(file.copy_to, file, a)
      local last = proa.spawn(a.write, a, "end")
      proa.yield()
      local all = drain(b)
      helper.turns(turns)
      copy:cancel()
      copy:await()
      assert.equal(a, first:await())
      assert.equal(a, last:await())
      a:shutdown "w"
      local text = all:await()
      assert.equal(much .. ("middle"):sub(1, file:seek()) .. "end", text)
    end
  end)

  it("tells that the peer is gone, or that one is closed here", function()
    local a <close>, b = helper.tcp_pair()
    local path = temp_file("file", BYTES:rep(4))
    local file <close> = fs.open(path)
    b:abort()
    local code = select(3, file:copy_to(a))
    assert.is_true(code == "EPIPE" or code == "ECONNRESET", code)
    local c, d = helper.tcp_pair()
    local _ <close> = d
    local task = proa.spawn(file.copy_to, file, c)
    helper.turns(4)
    c:close(0)
    code = select(3, task:await())
    assert.equal("CLOSED", code)
    local e <close>, f = helper.tcp_pair()
    local _ <close> = f
    local other = fs.open(path)
    task = proa.spawn(other.copy_to, other, e)
    helper.turns(4)
    other:close()
    code = select(3, task:await())
    assert.equal("CLOSED", code)
  end)

  it("checks its options", function()
    local a <close>, b = helper.tcp_pair()
    local _ <close> = b
    local file <close> = fs.open(temp_file("file", "x"))
    assert.matches("option 'limit'", helper.error_of(file.copy_to, file, a,
      { limit = 1 }))
    assert.matches("not copied to itself",
      helper.error_of(file.copy_to, file, file))
    assert.matches("stream", helper.error_of(file.copy_to, file, "x"))
  end)
end)

describe("from a socket to a file", function()
  it("all of it is there when it returns", function()
    local a <close>, b = helper.tcp_pair()
    local path = temp "file"
    local file <close> = fs.open(path, "w")
    local writer = proa.spawn(function()
      b:write(BYTES)
      b:close()
    end)
    assert.equal(#BYTES, a:copy_to(file))
    assert.is_true(helper.read_file(path) == BYTES)
    assert.equal(#BYTES, file:seek())
    writer:await()
  end)

  it("tells why the file took no more", function()
    local a <close>, b = helper.tcp_pair()
    local _ <close> = b
    local file <close> = fs.open(temp_file("file", ""), "r")
    b:write "hello"
    fails("EBADF", a:copy_to(file, { max = 5 }))
    assert.equal(file, file:flush())
  end)
end)

describe("from file to file", function()
  it("the kernel copies, at the positions of both", function()
    local from <close> = fs.open(temp_file("from", BYTES))
    local to <close> = fs.open(temp "to", "w+")
    to:write "head"
    from:read(10)
    assert.equal(#BYTES - 10, from:copy_to(to))
    assert.equal(#BYTES - 6, to:seek())
    to:write "tail"
    to:seek "set"
    assert.is_true(to:read "a" == "head" .. BYTES:sub(11) .. "tail")
    assert.equal(0, from:copy_to(to))
  end)

  it("works where the kernel does not: appending, devices, memory", function()
    local from <close> = fs.open(temp_file("from", BYTES))
    local to <close> = fs.open(temp_file("to", "x"), "a")
    assert.equal(#BYTES, from:copy_to(to))
    assert.is_true(helper.read_file(temp "to") == "x" .. BYTES)
    local zero <close> = fs.open "/dev/zero"
    local zeros <close> = fs.open(temp "zeros", "w")
    assert.equal(100000, zero:copy_to(zeros, { max = 100000 }))
    assert.equal(("\0"):rep(100000), helper.read_file(temp "zeros"))
    from:seek "set"
    local null <close> = fs.open("/dev/null", "w")
    assert.equal(#BYTES, from:copy_to(null))
  end)

  it("goes on after it was given up", function()
    local from <close> = fs.open(temp_file("from", BYTES))
    local to <close> = fs.open(temp "to", "w")
    for turns = 0, 5 do
      local task = proa.spawn(from.copy_to, from, to)
      helper.turns(turns)
      task:cancel()
      task:await()
      assert.equal(from:seek(), to:seek())
    end
    assert(from:copy_to(to))
    assert.is_true(helper.read_file(temp "to") == BYTES)
  end)
end)

describe("a child", function()
  it("reads a file from its position on, and writes to one", function()
    local from <close> = fs.open(temp_file("from", "not this, but " .. BYTES))
    local to <close> = fs.open(temp "to", "w+")
    to:write "head "
    from:read(14)
    assert(proa.process.run { "cat", stdin = from, stdout = to })
    to:write " tail"
    to:seek "set"
    assert.is_true(to:read "a" == "head " .. BYTES .. " tail")
  end)
end)

describe("a whole file that cannot be copied", function()
  it("is named, with where it should have gone", function()
    local file, none = temp_file("file", "hello"), temp "none"
    local dir = assert(fs.tmpdir())
    for _, case in ipairs {
      { none, temp "b", "copy %s: no such file or directory" },
      { dir, temp "b", "copy %s: is a directory" },
      { file, none .. "/b", "copy %s to %s: no such file or directory" },
      { file, dir, "copy %s to %s: is a directory" },
      { file, file, "copy %s to %s: they are the same file" },
      { file, "/dev/full", "copy %s to %s: no space left on device" },
    } do
      local from, to, text = table.unpack(case)
      local _, message = fs.copy(from, to)
      assert.equal(text:format(from, to), message)
    end
    assert(fs.rm(dir))
    local _, message = fs.write(none .. "/b", "x", { atomic = true })
    assert.equal(("write %s/b: no such file or directory"):format(none), message)
  end)
end)
