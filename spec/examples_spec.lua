--- examples_spec.lua: the examples print what they say, and so does README.md.
-- Each example opens with a comment whose "Prints" lines are what it prints;
-- the README marks what runs, what is typed, and what comes of it. They run
-- in processes of their own, as people run them. The servers among them are in
-- example_servers_spec.lua.
-- SPDX-License-Identifier: MIT

local example = require "spec.example"
local helper = require "spec.helper"
local proa = require "proa"

local promised, run = example.promised, example.run

local function prints_what_it_says(name)
  helper.it_main(name .. " prints what it says", function()
    local output, status = run(name)
    assert.equal(promised(name), output)
    assert.equal(0, status)
  end)
end

describe("the example", function()
  prints_what_it_says "timeout_and_cancel"
  prints_what_it_says "proactor_by_hand"
  prints_what_it_says "udp_echo"
  prints_what_it_says "luasocket_client"
  if helper.driver ~= "sim" then prints_what_it_says "fd_passing" end

  helper.it_main("dns prints what it says", function()
    local output, status = run "dns"
    -- some machines have an IPv6 address for localhost as well
    output = output:gsub("%[::1%]:80 ?", ""):gsub("::1 ?", ""):gsub(" +\n", "\n")
    assert.equal(promised "dns", output)
    assert.equal(0, status)
  end)
  prints_what_it_says "pipeline"
  prints_what_it_says "testing_explore"

  helper.it_main("stuck explains a deadlock", function()
    local output, status = run("stuck", "deadlock")
    assert.equal((promised "stuck":gsub("%-%-\n", "\n")), output)
    assert.equal(0, status)
  end)

  --- The output of a kind with every number as N.
  local function explained(kind)
    local output, status = run("stuck", kind)
    assert.equal(0, status, output)
    return (output:gsub("%d+%.?%d*", "N"))
  end

  helper.it_main("stuck explains a leak, from outside", function()
    if helper.driver == "sim" then return end -- its clock does not wait
    local output = explained "leak"
    assert.match('\n#N "server" +waiting +N s +N s +recv channel N/N\n', output)
    assert.match("\n#N to #N +waiting +N s +N s +await future %(the oldest of N%)"
      .. "\n    %[C%]: in method 'await'\n    examples/stuck.lua:N: in function "
      .. '<.->\n    spawned at examples/stuck.lua:N by task #N "server"\n', output)
  end)

  helper.it_main("stuck explains a peer that does not answer", function()
    if helper.driver == "sim" then return end -- all of its peers answer
    assert.match('\n#N "client N" +waiting +N s +N s +connect N.N:N %(fd N%)\n'
      .. "    %[proa%]: in function 'proa.net.connect'\n    examples/stuck.lua:N:"
      .. " in function <.->\n    spawned at examples/stuck.lua:N by task #N\n",
      explained "connect")
  end)

  helper.it_main("stuck explains a task that hogs the loop", function()
    if helper.driver == "sim" then return end -- its clock stands still
    assert.match('proa: task #N "counts" %(examples/stuck.lua:N%) has not let go '
      .. "of the loop for N s\nstack traceback:\n.-examples/stuck.lua:N: in "
      .. "function <.->\n\tspawned at", explained "hog")
  end)

  --- A line with every number as N but those of the example's lines.
  local function words_of(line)
    line = line:gsub("stuck%.lua:%d+", function(place)
      return (place:gsub("%d", function(d) return string.char(65 + d) end))
    end)
    return (line:gsub("%d+%.?%d*", "N"):gsub("%s+", " "):gsub("^ ", ""))
  end

  --- The lines that README.md shows of a kind.
  local function shown_of(kind)
    local lines, on = {}, false
    for line in io.lines "README.md" do
      if on and (line:find "^    %$" or line:find "^[^ ]") then break end
      if on and line ~= "" then lines[#lines + 1] = line end
      on = on or line == "    $ lua5.4 examples/stuck.lua " .. kind
    end
    return lines
  end

  helper.it_main("stuck says each line that README.md shows of it", function()
    local kinds = { "deadlock", "leak", "connect", "hog" }
    for i = 1, helper.driver == "sim" and 1 or #kinds do
      local said = {}
      for line in run("stuck", kinds[i]):gmatch "[^\n]+" do
        said[words_of(line)] = true
      end
      local shown = shown_of(kinds[i])
      assert.is_true(#shown > 2)
      for _, line in ipairs(shown) do
        assert.is_true(said[words_of(line)], line)
      end
    end
  end)

  helper.it_main("run_commands prints the output of ten in order", function()
    local output, status = run "run_commands"
    local function steady(text) return (text:gsub("took [^\n]*", "took")) end
    assert.equal(steady(promised "run_commands"), steady(output))
    assert.equal(0, status)
  end)

  helper.it("supervisor starts again, and stops when it is told to", function()
    local p <close> = assert(proa.process.spawn { helper.interpreter(),
      "examples/supervisor.lua", stdout = "pipe",
      env = { PROA_DRIVER = helper.driver } })
    local output = p.stdout:read_until "given up" .. "given up"
    p:kill "TERM"
    assert.equal(promised "supervisor", output .. p.stdout:read "a")
    assert.is_true(p:wait().ok)
  end)

  helper.it("supervisor kills who does not go, with what they started", function()
    local p <close> = assert(proa.process.spawn { helper.interpreter(),
      "examples/supervisor.lua", "trap '' TERM; echo u''p; sleep 100",
      stdout = "pipe", env = { PROA_DRIVER = helper.driver } })
    p.stdout:read_until "up\n"
    p:kill "INT"
    assert.match("killed by KILL\n$", p.stdout:read "a")
    assert.is_true(p:wait().ok)
  end)

  --- The seconds that each of the three ways took.
  local function totals_of(output)
    local totals = {}
    for total in output:gmatch "(%d+%.%d+) s" do
      totals[#totals + 1] = tonumber(total)
    end
    return totals
  end

  helper.it_main("three_ways draws who waited when", function()
    local output, status = run "three_ways"
    assert.equal(0, status)
    -- times differ from run to run, everything else is as promised
    local function shape(text)
      return (text:gsub("%.+([!#])", "%1"):gsub(" +", " ")
        :gsub("%d%.%d%d s", "N s"))
    end
    assert.equal(shape(promised "three_ways"), shape(output))
    if helper.driver == "sim" then return end -- its clock is another
    local totals = totals_of(output)
    for _ = 1, 4 do -- a machine that stalls may make any of them the longest
      if totals[1] > math.max(totals[2], totals[3]) then break end
      totals = totals_of(run "three_ways")
    end
    assert.is_true(totals[1] >= 0.6, output)
    assert.is_true(totals[2] >= 0.3 and totals[2] < totals[1], output)
    assert.is_true(totals[3] >= 0.3 and totals[3] < totals[1], output)
  end)

  helper.it_main("echo_client tells that nobody listens", function()
    local listener = assert(proa.net.listen "127.0.0.1:0")
    local address, handles = listener:address(), proa.stats().handles
    listener:close()
    helper.wait_until(function() return proa.stats().handles < handles end)
    local output, status = run("echo_client", address)
    assert.equal("connect " .. address .. ": connection refused\n", output)
    assert.equal(1, status)
  end)

  helper.it_main("parallel_connect tells who answers and who does not", function()
    -- the kernel completes no connection that its backlog has no room for
    local output, status = helper.lua [[
      local proa = require "proa"
      local print = print
      local function listen() return assert(proa.net.listen "127.0.0.1:0") end
      local open, closed = listen(), listen()
      local silent = assert(proa.net.listen("127.0.0.1:0", { backlog = 1 }))
      local full = { assert(proa.net.connect(silent:address())),
        assert(proa.net.connect(silent:address())) }
      local names = { [open:address()] = "127.0.0.1:7000",
        [closed:address()] = "127.0.0.1:7001",
        [silent:address()] = "192.0.2.1:80" }
      arg = { [0] = "x", open:address(), closed:address(), silent:address() }
      closed:close()
      proa.sleep(0)
      function _G.print(line)
        local address, message = line:match "^(127%S+) +(.*)"
        if address then
          line = ("%-23s %s"):format(names[address],
            (message:gsub("127.0.0.1:%d+", names)))
        end
        print((line:gsub("[%d.]+ ms", "N ms"):gsub("%d+%.%d+ s", "N s")))
      end
      dofile "examples/parallel_connect.lua"
    ]]
    -- who is there first is printed first
    local function sorted(text)
      local lines = {}
      for line in text:gmatch "[^\n]+" do lines[#lines + 1] = line end
      table.sort(lines)
      return table.concat(lines, "\n")
    end
    assert.equal(sorted(promised "parallel_connect"
      :gsub("[%d.]+ ms", "N ms"):gsub("%d+%.%d+ s", "N s")), sorted(output))
    assert.equal(1, status)
  end)

  helper.it_main("parallel_connect has 50 under way at most", function()
    local output, status = helper.lua [[
      local proa = require "proa"
      local print, connect = print, proa.net.connect
      local now, most = 0, 0
      function proa.net.connect(...)
        now = now + 1
        most = math.max(most, now)
        local conn <close> = assert(connect(...))
        proa.sleep(0.001)
        now = now - 1
        return conn
      end
      local listener = assert(proa.net.listen "127.0.0.1:0")
      proa.spawn(listener.serve, listener, function() end):background()
      arg = { [0] = "x" }
      for i = 1, 200 do arg[i] = listener:address() end
      function _G.print(line)
        if line:find "have answered" then print(line:match "^[^,]*", most) end
      end
      dofile "examples/parallel_connect.lua"
    ]]
    assert.equal("200 of 200 have answered\t50\n", output)
    assert.equal(0, status)
  end)

  helper.it_main("connection_churn shows that nothing grows", function()
    local output, status = run("connection_churn", "5000", "20")
    assert.equal(0, status, output)
    local header, rows = output:match "^([^\n]*\n)(.*)$"
    assert.equal(promised "connection_churn":match "^[^\n]*\n",
      header)
    local row, number = {}, " *(%d+)"
    for count, rate, lua, rss, fds in rows:gmatch(number:rep(5) .. "\n") do
      row[#row + 1] = { count = tonumber(count), rate = tonumber(rate),
        lua = tonumber(lua), rss = tonumber(rss), fds = tonumber(fds) }
      assert.equal(500 * #row, row[#row].count)
      assert.is_true(row[#row].rate > 0)
      assert.equal(row[1].fds, row[#row].fds, output)
      assert.is_true(row[#row].lua < 2000, output)
    end
    assert.equal(10, #row, output)
    if not helper.sanitized then
      assert.is_true(row[10].rss < row[3].rss + 500, output)
    end
  end)
end)

-- -- README.md --

local readme = helper.read_file "README.md"

describe("README.md:", function()
  local number = 0
  for code, rest in readme:gmatch "<!%-%- runs %-%->\n```lua\n(.-)```\n()" do
    number = number + 1
    helper.it_main(("program %d prints what it says"):format(number), function()
      local expected = readme:match("^\n<!%-%- prints %-%->\n```\n(.-)```", rest)
      local output, status
      for _ = 1, 5 do -- a machine may stand still for longer than it waits
        output, status = helper.lua(code)
        if output == expected then break end
      end
      assert.equal(expected, output)
      assert.equal(0, status)
    end)
  end
  assert(number >= 5, "the README's programs were not found")

  helper.it_main("the server in six lines is one", function()
    local code = readme:match "<!%-%- serves %-%->\n```lua\n(.-)```\n"
    assert.equal(6, select(2, code:gsub("\n", "")))
    local output, status = helper.lua([[
      local proa = require "proa"
      function print(text)
        proa.spawn(function()
          local conn = assert(proa.net.connect(text:match "listening on (.*)"))
          io.write(conn:write "echo\n":read "l")
          os.exit(0)
        end)
      end
    ]] .. code:gsub(":7000", ":0"))
    assert.equal("echo", output)
    assert.equal(0, status)
  end)

  helper.it_main("what is typed into the interpreter works", function()
    local session = readme:match "<!%-%- types %-%->\n```\n%$ lua5.4 %-i\n(.-)```\n"
    local input, output = "", {}
    for line in session:gmatch "> ([^\n]*)\n" do input = input .. line .. "\n" end
    -- after the greeting; prompts stay, and some interpreters echo the input
    local said = helper.interactive("-i", input):gsub("^[^\n]*\n", "")
    for line in said:gmatch "([^\n]+)\n" do
      line = line:gsub("^[> ]+", "")
      if not input:find(line .. "\n", 1, true) then output[#output + 1] = line end
    end
    local expected = session:gsub("> [^\n]*\n", "")
    assert.equal(expected, table.concat(output, "\n") .. "\n")
  end)
end)
