--- smoke_spec: does proa work here at all? Small and quick, because it also
-- runs where the kernel refuses io_uring, as nobody, in a directory that
-- cannot be written (spec/run-refused). Everything else is in other files.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"

local function echo(address)
  local listener <close> = assert(proa.net.listen(address))
  local server = proa.spawn(function()
    local conn <close> = assert(listener:accept())
    for _ = 1, 2 do conn:write(conn:read "L") end
  end)
  local conn <close> = assert(proa.net.connect(listener:address()))
  assert(conn:write("one\n", "two\n"))
  assert.equal("one", conn:read "l")
  assert.equal("two", conn:read "l")
  assert.is_nil(conn:read "l")
  server:await()
end

describe("proa", function()
  helper.it("names the driver that serves", function()
    local wanted = os.getenv "PROA_DRIVER" or ""
    local driver = proa.info().driver
    if wanted ~= "" and wanted ~= "auto" then
      assert.equal(wanted, driver)
    else
      assert.is_true(driver == "uring" or driver == "poll")
    end
  end)

  helper.it("echoes lines over TCP", function()
    echo "127.0.0.1:0"
  end)

  helper.it("echoes lines over a Unix socket", function()
    echo("unix:" .. helper.temp "socket")
  end)

  helper.it("ends a wait when its time is up", function()
    local results = table.pack(proa.timeout(0.01, proa.sleep, 60))
    assert.same({ nil, "timed out", "TIMEOUT", n = 3 }, results)
  end)

  helper.it("cancels an accept that waits", function()
    local listener <close> = assert(proa.net.listen "127.0.0.1:0")
    local task = proa.spawn(listener.accept, listener)
    helper.turns()
    assert.same({ "waiting", "accept" }, { task:status() })
    assert.is_true(task:cancel())
    local _, _, code = task:await()
    assert.equal("CANCELLED", code)
  end)

  helper.it("writes a file and reads it back", function()
    local path = helper.temp "file"
    local file <close> = assert(proa.op.open(path, "w+"):await())
    assert.equal(5, proa.op.write(file, "hello", 0):await())
    assert.is_true(proa.op.fsync(file):await())
    local buffer = proa.buffer(16)
    assert.equal(5, proa.op.read(file, buffer, 1, -1, 0):await())
    assert.equal("hello", buffer:string(1, 5))
    assert.equal("hello", helper.read_file(path))
  end)
end)
