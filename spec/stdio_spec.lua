--- stdio_spec: the standard streams of a program, and its terminal.
-- The programs run in processes of their own, with pipes, files or a terminal
-- (spec/sandbox/pty.c) at their ends; they say "ready" when they are.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local lfs = require "lfs"
local proa = require "proa"

local it = helper.it
local pty = os.getenv "PROA_BUILD" .. "/spec-c/pty"

local HEAD = [[
local proa = require "proa"
local stdin, stdout = proa.stdio.stdin, proa.stdio.stdout
local function ready() stdout:write "ready\n" end
local function send(name)
  proa.process.run { shell = "kill -" .. name .. " $PPID" }
end
]]

--- A program with what spawn takes besides: its own argv, as a list.
local function command(source, ...)
  local words = { ... }
  words[#words + 1] = helper.interpreter()
  words[#words + 1] = helper.temp_file("program.lua", HEAD .. source)
  words.env = { PROA_DRIVER = helper.driver }
  return words
end

--- Run it to its end.
local function run(source, options)
  local words = command(source)
  for key, value in pairs(options or {}) do words[key] = value end
  return assert(proa.process.run(words))
end

--- On a terminal of 80 columns and 24 rows, both ends pipes of ours.
local function on_terminal(source)
  local words = command(source, pty, 80, 24)
  words.stdin, words.stdout = "pipe", "pipe"
  return assert(proa.process.spawn(words))
end

--- What it prints until then, terminals' "\r\n" as "\n".
local function output_until(p, text)
  return (assert(p.stdout:read_until(text)):gsub("\r\n", "\n"))
end

local function ready(p) return output_until(p, "ready\r\n") end

--- How the terminal was left and the program ended, then what it printed.
local function ending(p)
  local text = p.stdout:read("a"):gsub("\r\n", "\n")
  p:wait()
  return text:match "%[([^%[]*)%]\n$", text
end

describe("stdin", function()
  local program = [[
    print(stdin:read "l")
    print(stdin:read "L")
    print(stdin:read "a")
    print(stdin:read "l")
  ]]
  local expected = "one\ntwo\n\nthree\nfour\nnil\n"

  it("is a pipe", function()
    assert.equal(expected, run(program, { input = "one\ntwo\nthree\nfour" }).stdout)
  end)

  it("is a file", function()
    local path = helper.temp_file("in", "one\ntwo\nthree\nfour")
    assert.equal(expected, run(program, { stdin = path }).stdout)
  end)

  it("is a socket", function()
    local a, b = proa.fd.pair()
    local there = require "proa.core".stream(a)
    there:write "one\ntwo\nthree\nfour"
    there:shutdown "w"
    if helper.driver ~= "sim" then -- its sockets are no other process's
      assert.equal(expected, run(program, { stdin = b }).stdout)
    end
    b:close()
    there:close()
  end)

  it("is /dev/null", function()
    assert.equal("nil\n", run('print(stdin:read "l")').stdout)
  end)

  it("is closed", function()
    local r = proa.process.run { stdin = "null", env = { PROA_DRIVER = helper.driver },
      shell = ("exec %s %s <&-"):format(helper.interpreter(),
        helper.temp_file("closed.lua", HEAD .. [[
          print(stdin:read "l")
          print(proa.process.run({ "readlink", "/proc/self/fd/0",
            stdin = "inherit" }).stdout)
        ]])) }
    assert.equal("nil\tread: bad file descriptor\tEBADF\n/dev/null\n\n", r.stdout)
  end)

  it("is shared: what nobody here waits for is a child's to read", function()
    local words = command [[
      print(stdin:read("l"))
      local code = select(3, stdin:read("l", { timeout = 0.01 }))
      while proa.stats().ops_in_flight > 0 do proa.sleep(0) end -- given up
      print(code)
      proa.process.run { shell = "read line; echo child $line",
        stdin = "inherit", stdout = "inherit" }
      print(stdin:read "l")
    ]]
    words.stdin, words.stdout = "pipe", "pipe"
    local p <close> = proa.process.spawn(words)
    p.stdin:write "mine\n"
    assert.equal("mine", p.stdout:read "l")
    assert.equal("TIMEOUT", p.stdout:read "l")
    p.stdin:write "yours\n"
    assert.equal("child yours", p.stdout:read "l")
    p.stdin:write "mine again\n"
    assert.equal("mine again", p.stdout:read "l")
  end)

  it("loses nothing to limits", function()
    local words = command [[
      for i = 1, 100 do
        local line
        repeat line = stdin:read("l", { timeout = 0 }) until line
        assert(line == "line " .. i, line)
      end
      print "all"
    ]]
    words.stdin, words.stdout = "pipe", "pipe"
    local p <close> = proa.process.spawn(words)
    for i = 1, 100 do
      p.stdin:write("line ", i, "\n")
      if i % 10 == 0 then helper.turns() end
    end
    assert.equal("all", p.stdout:read "l")
  end)
end)

describe("stdout", function()
  it("has all that was written when the program ends", function()
    for _, last in ipairs { "", "os.exit(0)", "os.exit(0, true)",
      "proa.run(function() os.exit(0) end)", "stdout:close()" } do
      local r = run('stdout:write(("x"):rep(1 << 20))\n' .. last)
      assert.equal(1 << 20, #r.stdout, last)
      assert.is_true(r.ok, last)
    end
  end)

  it("is a file, at its end where it was opened so", function()
    local path = helper.temp_file("out", "before\n")
    run([[stdout:write "after\n"]], { stdout = { path = path, mode = "a" } })
    assert.equal("before\nafter\n", helper.read_file(path))
  end)

  it("is closed, or nobody reads it: an error, and no signal", function()
    local source = helper.temp_file("closed.lua", HEAD .. [[
      stdin:read "l"
      local ok, message, code = stdout:write "x"
      if ok then ok, message, code = stdout:flush() end
      io.stderr:write(tostring(ok), " ", message, " ", code, "\n")
    ]])
    local function stderr(ending_)
      return proa.process.run { env = { PROA_DRIVER = helper.driver },
        shell = ("%s %s %s"):format(helper.interpreter(), source, ending_) }.stderr
    end
    assert.equal("nil write: bad file descriptor EBADF\n", stderr ">&-")
    local p <close> = proa.process.spawn { helper.interpreter(), source,
      stdin = "pipe", stdout = "pipe", stderr = "pipe",
      env = { PROA_DRIVER = helper.driver } }
    p.stdout:close()
    helper.turns()
    p.stdin:close()
    assert.match("EPIPE\n$", p.stderr:read "a")
  end)

  it("does not hold up the others when nobody reads it", function()
    local path = helper.temp "alive"
    local p <close> = on_terminal(([[
      proa.run(function()
        proa.spawn(function()
          for _ = 1, 256 do stdout:write(("y"):rep(4096)) end
        end)
        for _ = 1, 50 do proa.sleep(0.001) end
        assert(io.open(%q, "w")):close()
      end)
    ]]):format(path))
    -- nobody reads its terminal until it has ticked fifty times
    helper.wait_until(function() return lfs.attributes(path) end)
    local how, text = ending(p)
    assert.equal("echo canonical exit 0", how)
    assert.equal(1 << 20, #text:match "y+")
  end)
end)

describe("the standard streams", function()
  -- O_NONBLOCK is 04000 in an octal number
  local program = [[
    stdout:write ""
    proa.timeout(0.01, function() stdin:read "l" end)
    proa.stdio.stderr:write ""
    proa.sleep(0)
    for fd = 0, 2 do
      for line in io.lines("/proc/self/fdinfo/" .. fd) do
        local flags = line:match "^flags:%s*(%d+)"
        if flags then stdout:write(tonumber(flags, 8) & 2048, "\n") end
      end
    end
  ]]

  it("are not made non-blocking for others", function()
    assert.equal("0\n0\n0\n", run(program, { input = "" }).stdout)
    local path = helper.temp "out"
    run(program, { stdin = "/dev/null", stdout = path })
    assert.equal("0\n0\n0\n", helper.read_file(path))
    local p <close> = on_terminal(program)
    assert.equal("0\n0\n0\n", select(2, ending(p)):match "^[%d\n]+")
  end)

  it("are made once, when they are asked for", function()
    assert.equal("true\tnil\n", run [[
      print(proa.stdio.stdin == stdin, proa.stdio.other)
    ]].stdout)
  end)
end)

describe("a terminal", function()
  it("is one, and has a size that changes", function()
    local p <close> = on_terminal [[
      print(stdin:isatty(), stdout:isatty(), proa.stdio.stderr:isatty())
      print(stdout:window_size())
      local signals <close> = proa.signal.each "WINCH"
      ready()
      signals:wait()
      print(stdout:window_size())
    ]]
    assert.equal("true\ttrue\ttrue\n80\t24\n", ready(p))
    p:kill "USR1"
    local how, text = ending(p)
    assert.equal("100\t40\n", text:match "^[^%[]*")
    assert.equal("echo canonical exit 0", how)
  end)

  it("is none: false, and ENOTTY", function()
    assert.equal("false\tfalse\nENOTTY\tENOTTY\n", run [[
      print(stdin:isatty(), stdout:isatty())
      print(select(3, stdin:raw()), (select(3, stdout:window_size())))
    ]].stdout)
    local a <close> = proa.net.pair { memory = true }
    assert.is_false(a:isatty())
  end)

  it("gives lines, and keeps what was typed for the next read", function()
    local p <close> = on_terminal [[
      ready()
      print("<" .. stdin:read "l" .. ">")
      print("<" .. stdin:read_some() .. ">")
    ]]
    ready(p)
    p.stdin:write "first\nsecond\n"
    local how, text = ending(p)
    assert.match("<first>\n.*<second\n>\n", text)
    assert.equal("echo canonical exit 0", how)
  end)
end)

describe("raw mode", function()
  it("gives each key as it is typed, without echo, until it is closed", function()
    local p <close> = on_terminal [[
      local raw = stdin:raw()
      ready()
      for _ = 1, 3 do print(("%q"):format(stdin:read_some())) end
      raw:close()
      raw:close()
      print(raw)
      ready()
      print(stdin:read "l")
    ]]
    ready(p)
    p.stdin:write "k"
    assert.equal('"k"\n', output_until(p, "\r\n") .. "\n")
    p.stdin:write "\3"
    assert.equal('"\\3"\n', output_until(p, "\r\n") .. "\n")
    p.stdin:write "\r"
    assert.equal('"\\13"\nproa.raw (closed)\n', ready(p))
    p.stdin:write "line\n"
    local how, text = ending(p)
    assert.equal("line\nline\n", text:match "^[^%[]*")
    assert.equal("echo canonical exit 0", how)
  end)

  it("lets the keys make signals if that is asked for", function()
    local p <close> = on_terminal [[
      local raw <close> = stdin:raw { signals = true }
      local signals <close> = proa.signal.each "INT"
      ready()
      print(signals:wait())
    ]]
    ready(p)
    p.stdin:write "\3"
    local how, text = ending(p)
    assert.match("^INT\n", text)
    assert.equal("echo canonical exit 0", how)
  end)

  --- How the terminal is left after this code in raw mode.
  local function left_by(code, after_ready)
    local p <close> = on_terminal("local raw = stdin:raw()\nready()\n"
      .. "stdin:read_some()\n" .. code)
    ready(p)
    p.stdin:write "g"
    if after_ready then after_ready(p) end
    return (ending(p))
  end

  it("ends with the program, however that ends", function()
    for code, how in pairs {
      [""] = "echo canonical exit 0",
      ["error 'x'"] = "echo canonical exit 1",
      ["proa.run(error, 'x')"] = "echo canonical exit 1",
      ["os.exit(3)"] = "echo canonical exit 3",
      ["os.exit(3, true)"] = "echo canonical exit 3",
      ["proa.run(function() os.exit(4) end)"] = "echo canonical exit 4",
      ["raw = nil collectgarbage() collectgarbage()"] = "echo canonical exit 0",
    } do
      assert.equal(how, left_by(code), code)
    end
  end)

  -- they wait for what is real: a simulated minute is over at once
  it("ends with the program when a signal kills it", function()
    for name, number in pairs { TERM = 15, USR1 = 10, SEGV = 11, ABRT = 6,
      HUP = 1 } do
      -- AddressSanitizer has a handler of its own for faults
      if not (helper.sanitized and (name == "SEGV" or name == "ABRT")) then
        assert.equal("echo canonical signal " .. number,
          left_by(("send %q stdin:read_some()"):format(name)), name)
      end
    end
    assert.equal("echo canonical signal 1", left_by("stdin:read_some()",
      function(p) p:kill "USR2" end))
    assert.equal("echo canonical exit 1", left_by 'send "INT" stdin:read_some()')
  end)

  it("can't be ended when there is no way to", function()
    assert.equal("noecho raw signal 9", left_by 'send "KILL" stdin:read_some()')
  end)

  it("ends by a signal that somebody had waited for before", function()
    assert.equal("echo canonical signal 15", left_by [[
      local signals = proa.signal.each "TERM"
      send "TERM"
      assert(signals:wait() == "TERM")
      signals:close()
      send "TERM"
      proa.sleep(60)
    ]])
    assert.equal("echo canonical signal 15", left_by [[
      raw:close()
      local signals = proa.signal.each "TERM"
      raw = stdin:raw()
      signals:close()
      send "TERM"
      proa.sleep(60)
    ]])
  end)

  it("takes back its handlers with the last terminal", function()
    local p <close> = on_terminal [[
      local function caught()
        for line in io.lines "/proc/self/status" do
          local mask = line:match "^SigCgt:%s*(%x+)"
          if mask then return mask end
        end
      end
      ready()
      local before = caught()
      local a, b = stdin:raw(), stdin:raw()
      assert(caught() ~= before)
      b:close()
      assert(caught() ~= before)
      a:close()
      assert(caught() == before)
    ]]
    ready(p)
    assert.equal("echo canonical exit 0", (ending(p)))
  end)

  it("raises for what is no option", function()
    assert.match("unknown option 'signal'", run [[
      print(pcall(stdin.raw, stdin, { signal = true }))
    ]].stdout)
  end)
end)
