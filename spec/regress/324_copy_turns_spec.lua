--- 324: a copy from a file raised "being read by task #4" when another task was
-- reading that file, where reads of one file take turns.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"

local fs = proa.fs
local it = helper.it

--- A FIFO, open for reading and for writing: reads of it wait.
local function fifo()
  local path = helper.temp "fifo"
  assert.equal("", (helper.shell("mkfifo '" .. path .. "'")))
  local file = assert(fs.open(path, "r+"))
  return file, file
end

--- One that reads a line, which is not there yet; it has begun.
local function reader_of(file)
  local reader = proa.spawn(file.read, file, "l")
  helper.turns()
  assert.equal("waiting", reader:status())
  return reader
end

describe("a copy from a file that is being read", function()
  it("has its turn, and those who read after it have theirs", function()
    local file, writer = fifo()
    local conn, peer = proa.net.pair()
    local first = reader_of(file)
    local copied
    local copy = proa.spawn(function()
      copied = table.pack(file:copy_to(conn, { max = 4 }))
    end)
    helper.turns()
    local last = reader_of(file)
    assert.is_nil(copied)
    local raw = assert(io.open(writer:path(), "w"))
    assert(raw:write "one\ntwo\nthree\n")
    raw:close()
    assert.equal("one", first:await())
    copy:await()
    assert.same({ 4, n = 1 }, copied)
    assert.equal("two\n", peer:read(4))
    assert.equal("three", last:await())
    conn:close()
    peer:close()
    file:close()
  end)

  it("waits no longer than it is told", function()
    local file = fifo()
    local conn, peer = proa.net.pair()
    local reader = reader_of(file)
    for _, options in ipairs { { timeout = 0.01 }, { idle = 0.01 } } do
      assert.same({ nil, "copy: timed out", "TIMEOUT", 0, n = 4 },
        table.pack(file:copy_to(conn, options)))
    end
    local copy = proa.spawn(file.copy_to, file, conn)
    helper.turns()
    copy:cancel()
    assert.equal("CANCELLED", select(3, copy:await()))
    file:close()
    assert.equal("CLOSED", select(3, reader:await()))
    conn:close()
    peer:close()
  end)

  it("is told when either end is closed", function()
    for _, which in ipairs { 1, 2 } do
      local file = fifo()
      local conn, peer = proa.net.pair()
      local reader = reader_of(file)
      local copied
      local copy = proa.spawn(function()
        copied = table.pack(file:copy_to(conn))
      end)
      helper.turns();
      ({ file, conn })[which]:close()
      copy:await()
      assert.same({ "CLOSED", 0 }, { copied[3], copied[4] })
      file:close()
      assert.equal("CLOSED", select(3, reader:await()))
      conn:close()
      peer:close()
      os.remove(helper.temp "fifo")
    end
  end)

  local function shared_out(name, pair)
    it("loses no byte and gives none twice, to " .. name, function()
      local text = {}
      for i = 1, 2000 do text[i] = ("%015d\n"):format(i) end
      local file <close> = assert(fs.open(helper.temp_file("file",
        table.concat(text))))
      local conn, peer = pair()
      local seen, tasks = {}, {}
      for i = 1, 8 do
        tasks[i] = proa.spawn(function()
          for _ = 1, 100 do
            if i % 2 == 0 then
              local line = file:read "L"
              seen[#seen + 1] = line
            else
              assert.equal(16, file:copy_to(conn, 16))
            end
          end
        end)
      end
      for _ = 1, 400 do
        local line = peer:read_exact(16)
        seen[#seen + 1] = line
      end
      for _, task in ipairs(tasks) do task:await() end
      assert.equal(800 * 16, file:seek())
      table.sort(seen)
      for i = 1, 800 do assert.equal(text[i], seen[i]) end
      conn:close()
      peer:close()
    end)
  end

  shared_out("a socket", proa.net.pair)
  shared_out("a stream in memory", function()
    return proa.net.pair { memory = true }
  end)
end)
