--- bench_spec.lua: the benchmark runs, and notices what is wrong.
-- One kind for a moment, with few connections and the driver under test; no
-- number is judged. It runs real servers in processes of their own, so the
-- simulation has no part in it.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"

local build = os.getenv "PROA_BUILD"
local lua = (os.getenv "PROA_LUA" or ""):match ".+" or "lua5.4"
local contender = "proa-" .. helper.driver

--- `make test` builds them; a single spec may be run without.
local function built()
  local program <close> = io.open((build or "build") .. "/bench/load")
  return program ~= nil
end

--- Runs the benchmark with few connections; options: more of its words.
local function bench(options)
  return helper.shell(lua .. " spec/bench/run.lua KIND=echo ROUNDS=1 " ..
    "SECONDS=0.2 CONNS=4 " .. options)
end

--- The cells of a contender's row after its name, and all of them as text.
local function row(output, name)
  local line = output:match("\n  " .. name:gsub("%-", "%%-") .. " +([^\n]+)")
  assert.is_truthy(line, output)
  local cells = {}
  for cell in line:gmatch "%S+" do cells[#cells + 1] = cell end
  return cells, line
end

if helper.driver ~= "sim" and not build and not built() then
  pending "the benchmark (its programs are not built: make bench-build)"
elseif helper.driver ~= "sim" then
  describe("the benchmark", function()
    helper.it_main("sets proa beside the reference in a table", function()
      local output, status = bench("NAMES=reference," .. contender)
      assert.equal(0, status, output)
      local own = row(output, contender)
      assert.is_true(tonumber(own[1]) > 0, output)
      local reference, line = row(output, "reference")
      local refused = line:match "^left out: (io_uring is refused: .*)"
      if refused then
        print("skip the benchmark's reference: " .. refused)
      else
        assert.is_true(tonumber(reference[1]) > 0, output)
        assert.equal("1.00", reference[2])
        assert.is_true(tonumber(own[2]) > 0, output)
      end
    end)

    helper.it_main("fails when a server answers a wrong byte", function()
      local server = helper.temp_file("wrong.lua", [[
        local proa = require "proa"
        local listener = assert(proa.net.listen "127.0.0.1:0")
        print("listening on " .. listener:address())
        io.flush()
        listener:serve(function(conn)
          local n = 0
          for data in function() return conn:read_some() end do
            n = n + #data
            local wrong = string.char(data:byte(-1) ~ 1)
            conn:write(n > 640 and data:sub(1, -2) .. wrong or data)
          end
        end)
      ]])
      -- the seconds it has for that; it does not use them up
      local output, status = bench(("SECONDS=9 NAMES=server SERVER='%s %s'")
        :format(lua, server))
      assert.equal(1, status, output)
      assert.matches("FAILED: connection %d: a wrong byte", output)
    end)
  end)
end

describe("the benchmark of files", function()
  helper.it_main("checks every read", function()
    local path = helper.temp_file("x", ""):gsub("x$", "data")
    local function run(...)
      return helper.lua(("arg = { [0] = 'x', %s }\ndofile 'spec/bench/files.lua'")
        :format(("%q"):rep(3, ", "):format(path, ...)), { env = "BLOCKS=64" })
    end
    local line = "^how=proa depth=4 iops=%d+ p50_us=[%d.]+ p99_us=[%d.]+"
      .. " cpu_us=[%d.]+ bad=0\n$"
    local output, status = run("4", "0.02") -- makes the file
    assert.equal(0, status, output)
    assert.matches(line, output)
    local file <close> = assert(io.open(path, "r+b"))
    for k = 0, 63 do
      file:seek("set", k * 4096)
      file:write "wrong"
    end
    file:flush()
    assert.not_matches("bad=0\n", (run("4", "0.02")))
  end)
end)
