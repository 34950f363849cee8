--- examples_spec.lua: the examples print what they say, and so does README.md.
-- Each example opens with a comment whose "Prints" lines are what it prints;
-- the README marks what runs, what is typed, and what comes of it. They run
-- in processes of their own, as people run them; a simulated server and its
-- clients share one process, because they share one simulated network.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"

-- An interpreter as the tests run in, for a child whose output is awaited
-- line by line.
local interpreter = (os.getenv "PROA_LUA" or ""):match ".+" or "lua5.4"

--- The lines below "Prints" in an example's first comment.
local function promised(path)
  local header = helper.read_file(path):match "^(.-)%-%- SPDX"
  local lines = header:match "%-%- Prints[^\n]*:\n(.*)"
  return (lines:gsub("%-%-   ", ""):gsub("%-%- [^\n]*\n", ""))
end

--- Run an example in a child process, with arguments.
local function run(name, ...)
  local words = table.pack(...)
  for i, word in ipairs(words) do words[i] = ("%q"):format(word) end
  return helper.lua(("arg = { [0] = 'x', %s }\ndofile 'examples/%s.lua'")
    :format(table.concat(words, ", "), name))
end

local function prints_what_it_says(name)
  helper.it_main(name .. " prints what it says", function()
    local output, status = run(name)
    assert.equal(promised("examples/" .. name .. ".lua"), output)
    assert.equal(0, status)
  end)
end

describe("the example", function()
  prints_what_it_says "timeout_and_cancel"
  prints_what_it_says "proactor_by_hand"

  helper.it_main("three_ways draws who waited when", function()
    local output, status = run "three_ways"
    assert.equal(0, status)
    -- times differ from run to run, everything else is as promised
    local function shape(text)
      return (text:gsub("%.+([!#])", "%1"):gsub(" +", " ")
        :gsub("%d%.%d%d s", "N s"))
    end
    assert.equal(shape(promised "examples/three_ways.lua"), shape(output))
    if helper.driver == "sim" then return end -- its clock is another
    local totals = {}
    for total in output:gmatch "(%d+%.%d+) s" do
      totals[#totals + 1] = tonumber(total)
    end
    assert.is_true(totals[1] >= 0.6, output)
    assert.is_true(totals[2] >= 0.3 and totals[2] < totals[1], output)
    assert.is_true(totals[3] >= 0.3 and totals[3] < totals[1], output)
  end)

  helper.it_main("echo_client tells that nobody listens", function()
    local listener = assert(proa.net.listen "127.0.0.1:0")
    local address = listener:address()
    listener:close()
    proa.sleep(0.01)
    local output, status = run("echo_client", address)
    assert.equal("connect " .. address .. ": connection refused\n", output)
    assert.equal(1, status)
  end)

  helper.it_main("echo_server and echo_client talk in one process", function()
    local output, status = helper.lua [[
      local proa = require "proa"
      local print = print
      local function clients(address)
        for i = 1, 2 do
          arg = { [0] = "x", address, "client " .. i }
          dofile "examples/echo_client.lua"
        end
        os.execute "kill -TERM $PPID"
      end
      function _G.print(text)
        print((text:gsub(":%d+$", ":PORT")))
        local address = text:match "listening on (.*)"
        if address then proa.spawn(clients, address) end
      end
      arg = { [0] = "x", "0" }
      dofile "examples/echo_server.lua"
    ]]
    assert.equal([[
listening on 127.0.0.1:PORT
client 1
client 2
stopped by TERM, connections served: 2
]], output)
    assert.equal(0, status)
  end)
end)

-- -- the echo server as its own process; not for the simulation --

--- Start it; the first line of the child is its process id.
local function start_server(address)
  local child = assert(io.popen(("echo $$; exec env PROA_DRIVER=%s %s " ..
    "examples/echo_server.lua '%s' 2>&1"):format(helper.driver, interpreter,
    address)))
  local pid = child:read "l"
  local said = child:read "l"
  return {
    address = said:match "^listening on (.+)$" or error(said),
    stop = function(signal)
      os.execute(("kill -%s %s"):format(signal, pid))
      local rest = child:read "a"
      return rest, select(3, child:close())
    end,
  }
end

if helper.driver ~= "sim" then
  describe("the echo server", function()
    helper.it_main("serves until TERM and counts", function()
      local server = start_server "0"
      assert.equal("hello\n", (run("echo_client", server.address, "hello")))
      for i = 1, 3 do
        local conn <close> = assert(proa.net.connect(server.address))
        conn:write(i)
        assert.equal(tostring(i), conn:read(1))
      end
      local output, status = server.stop "TERM"
      assert.equal("stopped by TERM, connections served: 4\n", output)
      assert.equal(0, status)
    end)

    helper.it_main("gives an idle connection two seconds at most", function()
      local server = start_server "127.0.0.1:0"
      local conn <close> = assert(proa.net.connect(server.address))
      conn:write "x"
      assert.equal("x", conn:read(1))
      local before = proa.now()
      local output, status = server.stop "INT"
      local took = proa.now() - before
      assert.equal("stopped by INT, connections served: 1\n", output)
      assert.equal(0, status)
      assert.is_true(took > 1.9 and took < 4, took)
      assert.is_nil(conn:read_some())
    end)

    helper.it_main("takes a Unix path", function()
      local address = "unix:" .. helper.temp "socket"
      local server = start_server(address)
      assert.equal(address, server.address)
      assert.equal("over a path\n", (run("echo_client", address, "over a path")))
      assert.equal("stopped by TERM, connections served: 1\n",
        (server.stop "TERM"))
    end)
  end)
end

-- -- README.md --

local readme = helper.read_file "README.md"

describe("README.md:", function()
  local number = 0
  for code, rest in readme:gmatch "<!%-%- runs %-%->\n```lua\n(.-)```\n()" do
    number = number + 1
    helper.it_main(("program %d prints what it says"):format(number), function()
      local expected = readme:match("^\n<!%-%- prints %-%->\n```\n(.-)```", rest)
      local output, status = helper.lua(code)
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
