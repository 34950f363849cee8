--- process_spec: children, by spawn and by run, on every driver.
-- They are real on the simulation, too. Nothing here sleeps to let a child get
-- somewhere: it says so on a pipe.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local lfs = require "lfs"
local proa = require "proa"

local it = helper.it
local run, spawn = proa.process.run, proa.process.spawn

--- Is there a process of this number, be it a zombie?
local function exists(pid)
  return lfs.attributes("/proc/" .. math.tointeger(pid), "mode") ~= nil
end

--- "R", "T", "Z" ... of a process.
local function state_of(pid)
  return helper.read_file(("/proc/%d/stat"):format(pid)):match "^.*%) (%a)"
end

describe("run", function()
  it("collects what a program writes, and how it ended", function()
    assert.same({ code = 0, ok = true, stdout = "out\n", stderr = "err\n" },
      run { shell = "echo out; echo err >&2" })
    assert.same({ code = 3, ok = false, stdout = "", stderr = "" },
      run { shell = "exit 3" })
    assert.same({ signal = "KILL", ok = false, stdout = "", stderr = "" },
      run { shell = "kill -9 $$" })
  end)

  it("passes arguments as they are", function()
    local words = { "printf", "%s|", "two words", "*", "$HOME", "", "'\"\n", "ü" }
    assert.equal("two words|*|$HOME||'\"\n|ü|", run(words).stdout)
    assert.equal("1.5 2", run { "printf", "%s %s", 1.5, 2 }.stdout)
  end)

  it("feeds it from a string", function()
    assert.equal("some input", run { "cat", input = "some input" }.stdout)
    assert.equal("", run { "cat", input = "" }.stdout)
    assert.equal("", run { "cat" }.stdout)
  end)

  it("waits for no full pipe, in either direction", function()
    local input = ("0123456789abcdef"):rep(65536)
    local r = run { shell = "tee /dev/stderr", input = input }
    assert.is_true(r.stdout == input and r.stderr == input)
  end)

  it("is content with a program that does not want its input", function()
    local input = ("x"):rep(1 << 20)
    assert.same({ code = 0, ok = true, stdout = "", stderr = "" },
      run { "true", input = input })
    assert.equal("done\n", run { shell = "exec <&-; echo done",
      input = input }.stdout)
  end)

  it("ends a program that takes too long, and tells what it wrote", function()
    local limit, partial = 0.1
    repeat -- until it was given enough time to begin
      local r, message, code
      limit = 2 * limit
      r, message, code, partial = run { timeout = limit,
        shell = "echo $$; exec sleep 100" }
      assert.is_nil(r)
      assert.equal("run echo $$; exec sleep 100: timed out", message)
      assert.equal("TIMEOUT", code)
      assert.is_nil(partial.code or partial.signal)
    until partial.stdout ~= ""
    local pid = tonumber(partial.stdout)
    helper.wait_until(function() return not exists(pid) end)
  end)

  it("ends a program that writes too much", function()
    local r, message, code, partial = run { "yes", max = 100000 }
    assert.is_nil(r)
    assert.equal("run yes: more than 100000 bytes of stdout", message)
    assert.equal("LIMIT", code)
    assert.is_true(#partial.stdout <= 100000)
    assert.equal("LIMIT", select(3, run { shell = "yes >&2", max = 10 }))
    assert.equal(5, #run { "printf", "12345", max = 5 }.stdout)
  end)

  it("leaves a grandchild that holds the pipes after the grace", function()
    local r = run { grace = 0.1,
      shell = "sleep 100 & echo $!" }
    assert.is_true(r.ok and r.held)
    local pid = tonumber(r.stdout)
    assert.is_true(exists(pid))
    run { "kill", pid }
  end)

  it("has all of what a grandchild writes within the grace", function()
    local r = run { shell = "(sleep 0.05; echo late) & echo first" }
    assert.equal("first\nlate\n", r.stdout)
    assert.is_nil(r.held)
  end)

  it("ends the program when its task is cancelled", function()
    local path = helper.temp "pid"
    local task = proa.spawn(run, { shell = "echo $$ >" .. path
      .. ".new; mv " .. path .. ".new " .. path .. "; exec sleep 100" })
    helper.wait_until(function() return lfs.attributes(path) end)
    task:cancel()
    assert.equal("CANCELLED", select(3, task:await()))
    local pid = tonumber(helper.read_file(path))
    helper.wait_until(function() return not exists(pid) end)
  end)

  it("puts the two outputs together where they are asked to be", function()
    local r = run { shell = "echo a; echo b >&2; echo c", stderr = "stdout" }
    assert.equal("a\nb\nc\n", r.stdout)
    assert.is_nil(r.stderr)
  end)
end)

describe("spawn says what failed:", function()
  local function fails(options, message, code)
    assert.same({ n = 3, nil, message, code }, table.pack(spawn(options)))
  end

  it("a program that is not there", function()
    fails({ "no-such-program" },
      "spawn no-such-program: no such file or directory", "ENOENT")
    fails({ "./program", cwd = "/" },
      "spawn ./program (in /): no such file or directory", "ENOENT")
  end)

  it("a program that may not be run", function()
    local path = helper.temp_file("text", "text")
    fails({ path }, "spawn " .. path .. ": permission denied", "EACCES")
  end)

  it("a directory that is not there", function()
    fails({ "true", cwd = "/nowhere" },
      "spawn true: cwd /nowhere: no such file or directory", "ENOENT")
  end)

  it("too many arguments", function()
    fails({ "true", ("x"):rep(1 << 20) },
      "spawn true: argument list too long", "E2BIG")
  end)

  it("a path that can't be opened", function()
    fails({ "true", stdin = "/nowhere/file" },
      "spawn: stdin: open /nowhere/file: no such file or directory", "ENOENT")
  end)

  it("a user that it may not become", function()
    local as_root = run { "id", "-u" }.stdout == "0\n"
    if as_root then
      local r = run { shell = "id -u; id -g; id -G", uid = 65534, gid = 65534 }
      assert.equal("65534\n65534\n65534\n", r.stdout)
    else
      fails({ "true", uid = 0 }, "spawn true: its user: operation not permitted",
        "EPERM")
    end
  end)

  it("and control characters escaped", function()
    fails({ "no\nprogram" }, "spawn no\\x0aprogram: no such file or directory",
      "ENOENT")
  end)
end)

describe("spawn raises for", function()
  local function raises(text, options)
    local message = helper.error_of(function() spawn(options) end)
    assert.truthy(message:find("spec/process_spec.lua:%d+: ") == 1, message)
    assert.truthy(message:find(text, 1, true), message)
  end

  it("what is no program", function()
    raises("a program expected", {})
    raises("argument 2: a string expected, got boolean", { "a", true })
    raises("zero byte", { "a\0b" })
    raises("arguments or shell, not both", { "a", shell = "b" })
    raises("shell: a string expected", { shell = 1 })
    raises("a table expected", "ls -l")
  end)

  it("what is no option", function()
    raises("unknown option 'stdinn'", { "a", stdinn = "pipe" })
    raises("cwd: a string expected", { "a", cwd = 1 })
    raises("uid: a number of a user expected, got root", { "a", uid = "root" })
    raises("grace: a number of seconds expected", { "a", grace = -1 })
    raises("env: bad name 'A=B'", { "a", env = { ["A=B"] = "1" } })
    raises("env: A: a string expected", { "a", env = { A = {} } })
    raises("stdin: \"pipe\"", { "a", stdin = "nul" })
    raises("got 'stdout'", { "a", stdin = "stdout" })
    raises("stdout: unknown option 'append'",
      { "a", stdout = { path = "x", append = true } })
  end)

  it("what is closed", function()
    local file = io.tmpfile()
    file:close()
    raises("stdin: file is closed", { "true", stdin = file })
    local a, b = proa.net.pair()
    a:close()
    b:close()
    raises("stdout: stream is closed", { "true", stdout = a })
    local from, to = proa.fd.pipe()
    from:close()
    to:close()
    raises("stdin: fd is closed", { "true", stdin = from })
  end)
end)

describe("a child", function()
  it("gets the environment and the directory that were asked for", function()
    local r = run { shell = "echo $A-$B-${HOME-none}; pwd", cwd = "/",
      env = { A = "a b", B = 2, HOME = false } }
    assert.equal("a b-2-none\n/\n", r.stdout)
    assert.equal("A=1\n", run { "env", clean_env = true, env = { A = 1 } }.stdout)
  end)

  it("gets the descriptors 0, 1 and 2 and no others", function()
    -- one that closes by itself in no exec, as foreign libraries leave them
    local file <close> = io.open "/dev/null"
    local listener <close> = proa.net.listen "127.0.0.1:0"
    assert(listener and file)
    -- the directory that ls reads is the fourth
    assert.equal("0\n1\n2\n3\n", run { "ls", "/proc/self/fd" }.stdout)
  end)

  it("has the default signals, and an empty mask", function()
    local function set(status, name)
      return tonumber(status:match(name .. ":%s*(%x+)"), 16)
    end
    local status = run { "cat", "/proc/self/status",
      env = { LD_PRELOAD = false } }.stdout
    -- who started this process may have it ignore some; glibc does, with 32
    local own <close> = io.open "/proc/self/status"
    assert.equal(set(own:read "a", "SigIgn"), set(status, "SigIgn"))
    assert.equal(0, set(status, "SigIgn") & 1 << 12, "SIGPIPE")
    assert.equal(0, set(status, "SigBlk"))
    assert.equal(0, set(status, "SigCgt"))
  end)

  it("has /dev/null at its stdin unless it is told otherwise", function()
    assert.equal("/dev/null\n", run { "readlink", "/proc/self/fd/0" }.stdout)
  end)

  it("leads a session of its own where that is asked for", function()
    local own = "set -- $(cat /proc/$$/stat); test $5 = $$ -a $6 = $$"
    assert.is_true(run { shell = own, new_session = true }.ok)
    assert.is_false(run { shell = own }.ok)
  end)

  it("reads and writes files", function()
    local path = helper.temp_file("in", "from a file\n")
    local out = helper.temp "out"
    assert.is_true(run { "cat", stdin = path, stdout = out }.ok)
    assert.is_true(run { "echo", "more", stdout = { path = out, mode = "a" } }.ok)
    assert.equal("from a file\nmore\n", helper.read_file(out))
    local file <close> = assert(io.open(path))
    assert.equal("from a file\n", run { "cat", stdin = file }.stdout)
    local from, to = proa.fd.pipe()
    local r = run { "echo", "by a descriptor", stdout = to }
    assert.is_true(r.ok and r.stdout == nil)
    to:close()
    local buffer = proa.buffer(16)
    assert.equal(16, proa.op.read(from, buffer):await())
    assert.equal("by a descriptor\n", buffer:string())
    from:close()
  end)

  for _, transport in ipairs(helper.transports) do
    it("reads from and writes to a stream over " .. transport.name, function()
      local a, b = transport.pair()
      a:write "there"
      a:shutdown "w"
      assert.equal("there", run { "cat", stdin = b }.stdout)
      assert.is_true(run { "echo", "and back", stdout = b }.ok)
      b:shutdown "w"
      assert.equal("and back\n", a:read "a")
      a:close()
      b:close()
    end)
  end

  it("hands its output to the next", function()
    local first <close> = spawn { "echo", "through two", stdout = "pipe" }
    local second = run { "tr", "a-z", "A-Z", stdin = first.stdout }
    assert.equal("THROUGH TWO\n", second.stdout)
  end)
end)

describe("a process", function()
  it("is talked to while it runs", function()
    local p <close> = spawn { "cat", stdin = "pipe", stdout = "pipe" }
    for i = 1, 3 do
      p.stdin:write("line ", i, "\n")
      assert.equal("line " .. i, p.stdout:read "l")
    end
    p.stdin:close()
    assert.is_nil(p.stdout:read "l")
    assert.same({ code = 0, ok = true }, p:wait())
    assert.same({ code = 0, ok = true }, p:wait())
  end)

  it("says what it is", function()
    local p <close> = spawn { "cat", stdin = "pipe" }
    assert.equal(("proa.process %d (running)"):format(p.pid), tostring(p))
    p.stdin:close()
    p:wait()
    assert.equal(("proa.process %d (exited 0)"):format(p.pid), tostring(p))
    local q <close> = spawn { "sleep", 100 }
    q:kill "USR1"
    q:wait()
    assert.equal(("proa.process %d (killed by USR1)"):format(q.pid), tostring(q))
    assert.is_nil(p.stdout or p.no_such_field)
  end)

  it("is waited for with a limit", function()
    local p <close> = spawn { "sleep", 100 }
    assert.same({ n = 3, nil, "wait: timed out", "TIMEOUT" },
      table.pack(p:wait(0.01)))
    assert.same({ n = 3, nil, "wait: timed out", "TIMEOUT" },
      table.pack(p:wait(0)))
  end)

  it("is killed while others wait for it, by name or number", function()
    for _, signal in ipairs { "KILL", "SIGKILL", 9 } do
      local p <close> = spawn { "sleep", 100 }
      local a, b = proa.spawn(p.wait, p), proa.spawn(p.wait, p)
      helper.turns()
      assert.is_true(p:kill(signal))
      assert.same({ signal = "KILL", ok = false }, a:await())
      assert.same({ signal = "KILL", ok = false }, b:await())
      assert.same({ n = 3, nil, "kill: the process has ended", "ESRCH" },
        table.pack(p:kill()))
    end
    local p <close> = spawn { "sleep", 100 }
    assert.match("unknown signal", helper.error_of(p.kill, p, "NOPE"))
    assert.match("new_session", helper.error_of(p.kill, p, "TERM", true))
  end)

  it("is an entry of select, all and race", function()
    local p <close> = spawn { "cat", stdin = "pipe" }
    local q <close> = spawn { "sleep", 100 }
    assert.equal("timeout", proa.select { p = p, q = q, timeout = 0.01 })
    p.stdin:close()
    assert.same({ "p", { code = 0, ok = true } },
      { proa.select { p = p, q = q } })
    assert.same({ code = 0, ok = true }, proa.race { p, q })
    q:kill()
    local results = proa.all { p, q }
    assert.same({ { code = 0, ok = true }, { signal = "TERM", ok = false } },
      results)
  end)

  it("that is stopped has not ended", function()
    local p <close> = spawn { "cat", stdin = "pipe", stdout = "pipe" }
    p:kill "STOP"
    helper.wait_until(function() return state_of(p.pid) == "T" end)
    assert.equal("TIMEOUT", select(3, p:wait(0.01)))
    p.stdin:write "more"
    assert.equal("TIMEOUT", select(3, p.stdout:read_some(nil, 0.01)))
    p:kill "CONT"
    assert.equal("more", p.stdout:read_some())
  end)

  it("that closed its pipes early is an error to write to, and no end", function()
    local p <close> = spawn { stdin = "pipe", stdout = "pipe",
      shell = "exec <&-; echo closed; exec >&-; exec sleep 100" }
    assert.equal("closed", p.stdout:read "l")
    assert.is_nil(p.stdout:read "l")
    p.stdin:write "x"
    assert.equal("EPIPE", select(3, p.stdin:flush()))
    assert.equal("EPIPE", select(3, p.stdin:write "x"))
    assert.equal("TIMEOUT", select(3, p:wait(0.01)))
  end)

  it("has streams of one direction", function()
    local p <close> = spawn { "cat", stdin = "pipe", stdout = "pipe" }
    assert.equal("EBADF", select(3, p.stdin:read_some()))
    assert.equal("EBADF", select(3, p.stdout:write "x"))
    assert.is_true(p.stdout:close())
  end)
end)

describe("close", function()
  --- A child that has said that it runs, and its number.
  local function started(script, options)
    options = options or {}
    options.shell, options.stdout = script, "pipe"
    local p = assert(spawn(options))
    return p, assert(tonumber(p.stdout:read "l"))
  end

  it("ends and reaps it, and closes its streams", function()
    local p = started "echo $$; exec sleep 100"
    local out = p.stdout
    p:close()
    p:close()
    assert.is_true(out:closed())
    assert.same({ signal = "TERM", ok = false }, p:wait())
    assert.is_false(exists(p.pid))
  end)

  it("is <close>", function()
    local pid
    do
      local p <close> = spawn { "sleep", 100 }
      pid = p.pid
    end
    helper.wait_until(function() return not exists(pid) end)
  end)

  it("kills one that ignores TERM, after the grace", function()
    local p = started("trap '' TERM; echo $$; while :; do sleep 0.01; done",
      { grace = 0.05 })
    p:close()
    assert.same({ signal = "KILL", ok = false }, p:wait())
  end)

  it("ends one that is stopped", function()
    local p = started "echo $$; exec sleep 100"
    p:kill "STOP"
    helper.wait_until(function() return state_of(p.pid) == "T" end)
    p:close()
    assert.same({ signal = "TERM", ok = false }, p:wait())
  end)

  it("ends the whole group of a session", function()
    local p, grandchild = started("sh -c 'trap \"\" TERM; echo $$; "
      .. "while :; do sleep 0.01; done' & wait", { new_session = true })
    assert.is_true(p.pid ~= grandchild and exists(grandchild))
    p:close()
    assert.same({ signal = "TERM", ok = false }, p:wait())
    -- its parent is gone; whoever reaps it may take a moment
    helper.wait_until(function()
      return not exists(grandchild) or state_of(grandchild) == "Z"
    end)
  end)

  it("does nothing to one that has ended", function()
    local p = spawn { "true" }
    p:wait()
    p:close()
    assert.same({ code = 0, ok = true }, p:wait())
  end)

  it("is waited for by run, so that no child outlives it", function()
    local output, status = helper.lua [[
      local proa = require "proa"
      local p
      proa.run(function()
        p = proa.process.spawn { "sleep", 100 }
        p:close()
      end)
      print(tostring(p):match "%(.*")
    ]]
    assert.equal("(killed by TERM)\n", output)
    assert.equal(0, status)
  end)

  it("is waited for by the end of the program", function()
    local output, status = helper.lua [[
      local proa = require "proa"
      local p = proa.process.spawn { stdout = "pipe", grace = 0.05,
        shell = "trap '' TERM; echo $$; while :; do sleep 0.01; done" }
      print(p.stdout:read "l")
      p:close()
    ]]
    assert.equal(0, status)
    assert.is_false(exists(tonumber(output)))
  end)
end)

describe("a process that nobody holds any more", function()
  it("lives on, and is reaped when it ends", function()
    local from, to = proa.fd.pipe()
    local pid = spawn { "cat", stdin = from }.pid
    from:close()
    collectgarbage()
    collectgarbage()
    helper.turns()
    assert.is_true(state_of(pid) ~= "Z")
    to:close()
    helper.wait_until(function() return not exists(pid) end)
  end)

  it("is reaped however many there are", function()
    local pids = {}
    for i = 1, 20 do pids[i] = spawn { "true" }.pid end
    for _, pid in ipairs(pids) do
      helper.wait_until(function() return not exists(pid) end)
    end
  end)
end)

describe("the status", function()
  it("is not lost where SIGCHLD was ignored", function()
    local output, status = helper.lua([[
      local proa = require "proa"
      print(proa.process.run({ shell = "exit 5" }).code)
    ]], { before = "trap '' CHLD" })
    assert.equal("5\n", output)
    assert.equal(0, status)
  end)
end)
