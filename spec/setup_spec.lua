--- setup_spec: proa.setup, the environment, info. Processes of their own,
-- because a state is set up once.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"

local it = helper.it_main

local function program(source, options)
  return helper.lua("local proa = require 'proa'\n" .. source, options)
end

describe("setup", function()
  it("chooses the driver, and wins over the environment", function()
    assert.equal("poll\n", program(
      "proa.setup { driver = 'poll' } print(proa.info().driver)",
      { driver = "sim" }))
  end)

  it("sizes the pool and the queue", function()
    local output = program [[
      proa.setup { buffers = 16, buffer_size = 4096, entries = 8, workers = 1 }
      local info = proa.info()
      print(info.buffers, info.buffer_size)
      proa.run(function()
        local a, b = proa.net.pair()
        proa.spawn(function() a:write(("x"):rep(1 << 20)) a:close() end)
        print(#b:read "a")
      end)
    ]]
    assert.equal("16\t4096\n1048576\n", output)
  end)

  it("is refused after the first use", function()
    assert.match("setup comes before the first use of proa",
      helper.error_of(proa.setup, {}))
  end)

  it("names what it does not know or take", function()
    local cases = {
      { "{ drivr = 'poll' }", "setup: unknown option 'drivr'" },
      { "{ 'poll' }", "setup: unknown option" },
      { "{ driver = 'epoll' }", "unknown driver 'epoll' %(auto, uring, poll, sim%)" },
      { "{ driver = {} }", "string expected" },
      { "{ entries = 100 }", "entries must be a power of two" },
      { "{ entries = 0 }", "entries is out of range %(1 to 32768%)" },
      { "{ buffers = 1 << 40 }", "buffers is out of range" },
      { "{ buffer_size = -1 }", "buffer_size is out of range" },
      { "{ workers = 'many' }", "number expected" },
      { "nil", "setup: a table of options expected" },
    }
    local source = {}
    for i, case in ipairs(cases) do
      source[i] = ("print(%d, select(2, pcall(proa.setup, %s)))"):format(i,
        case[1])
    end
    local output, status = program(table.concat(source, "\n"))
    assert.equal(0, status, output)
    for i, case in ipairs(cases) do
      local line = ("\n" .. output):match("\n" .. i .. "\t([^\n]*)")
      assert.match(case[2], line)
    end
  end)

  it("that failed leaves the choice open", function()
    assert.equal("poll\n", program [[
      pcall(proa.setup, { nonsense = 1 })
      proa.setup { driver = "poll" }
      print(proa.info().driver)
    ]])
  end)
end)

describe("PROA_DRIVER", function()
  it("chooses the driver", function()
    for _, driver in ipairs { "poll", "sim" } do
      assert.equal(driver .. "\n",
        program("print(proa.info().driver)", { driver = driver }))
    end
  end)

  it("that names no driver is an error at first use, with the name", function()
    local output, status = program("proa.info()", { driver = "kqueue" })
    assert.equal(1, status)
    assert.match("proa cannot start: .*kqueue", output)
  end)
end)

describe("info", function()
  it("tells the version, the driver, the kernel and the pool", function()
    local info = proa.info()
    assert.match("^%d+%.%d+%.%d+", info.version)
    assert.equal(helper.driver, info.driver)
    assert.is_string(info.kernel)
    assert.is_true(info.buffers > 0 and info.buffer_size > 0)
  end)
end)

describe("the module", function()
  it("is the same when it is required again", function()
    assert.equal("true\ttrue\n", program [[
      local core = require "proa.core"
      package.loaded["proa.core"] = nil
      print(core == require "proa.core", core.run == proa.run)
    ]])
  end)

  it("makes no global", function()
    assert.equal("", (helper.lua [[
      local before = {}
      for name in pairs(_G) do before[name] = true end
      require "proa"
      for name in pairs(_G) do
        if not before[name] then print(name) end
      end
    ]]))
  end)

  it("does nothing to the process until it is used", function()
    assert.equal("0\n", program [[
      local p = io.popen "ls -l /proc/$PPID/fd | grep -c -e io_uring -e eventpoll -e eventfd"
      print((p:read "n"))
    ]])
  end)
end)
