--- testing_files_spec.lua: the files of a simulated world.
-- A random script of calls gives the same answers there as on the real file
-- system, wherever both have the same rules.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"
local kit = require "spec.sim.kit"
local testing = proa.testing

-- -- one script, two file systems --

local names = { "a", "b", "c", "d/a", "d/b", "d/e/a", "link", "dangling",
  "d/../a", "./b", "d/", "a/", "none/x", "d/e", "..", "loop" }

--- What a call gave, without what differs by nature (messages, numbers).
local function shown(value, message, code)
  if value == nil then return code or tostring(message) end
  if type(value) == "userdata" then return "done" end
  if type(value) == "table" then
    return ("%s %s %o"):format(value.type, value.type == "file" and value.size,
      value.permissions)
  end
  return tostring(value)
end

local calls = {
  function(fs, dice, path) return fs.write(path, dice:bytes(dice(50))) end,
  function(fs, dice, path) return fs.append(path, dice:bytes(dice(50))) end,
  function(fs, _, path) return fs.read(path) end,
  function(fs, _, path) return fs.stat(path) end,
  function(fs, _, path) return fs.lstat(path) end,
  function(fs, _, path) return fs.mkdir(path) end,
  function(fs, _, path) return fs.rm(path) end,
  function(fs, dice, path, base) return fs.rename(path,
    base .. dice:pick(names)) end,
  function(fs, dice, path, base) return fs.link(path, base .. dice:pick(names))
  end,
  function(fs, dice, path)
    local target = dice:pick(names)
    return fs.symlink(target == ".." and "a" or target, path)
  end,
  function(fs, _, path) return fs.readlink(path) end,
  function(fs, _, path, base)
    local real, message, code = fs.realpath(path)
    return real and real:sub(#base), message, code
  end,
  function(fs, _, path) return fs.chmod(path, "750") end,
  function(fs, dice, path, base) return fs.copy(path, base .. dice:pick(names))
  end,
  function(fs, dice, path)
    local file <close>, message, code = fs.open(path, { write = true,
      read = true, create = dice:chance(2), exclusive = dice:chance(5) })
    if not file then return nil, message, code end
    local got = {}
    for i = 1, 3 do
      local offset = dice(60)
      if dice:chance(2) then
        got[i] = shown(file:write_at(offset, dice:bytes(dice(9))))
      else
        got[i] = shown(file:read_at(offset, dice(20)))
      end
    end
    if dice:chance(3) then got[4] = shown(file:truncate(dice(40))) end
    if dice:chance(3) then got[5] = shown(file:allocate(dice(20), dice(40))) end
    return table.concat(got, ",", 1, 3) .. tostring(got[4]) .. tostring(got[5])
  end,
  function(fs, _, path)
    local list = {}
    local ok, err = pcall(function()
      for name, kind in fs.list(path) do list[#list + 1] = name .. tostring(kind)
      end
    end)
    if not ok then return err:match ": ([%l ]+)$" end
    table.sort(list)
    return table.concat(list, " ")
  end,
}

--- The answers to n random calls below base.
local function script(seed, base, n)
  local dice, fs = kit.rng(seed), proa.fs
  local answers = {}
  for i = 1, n do
    local name, call = dice:pick(names), dice(#calls)
    -- the root and what is above it are not the script's to change
    if name == ".." and call > 5 then name = "a" end
    answers[i] = ("%d %d %s: %s"):format(i, call, name,
      shown(calls[call](fs, dice, base .. name, base)))
  end
  return answers
end

describe("the files of a simulated world", function()
  helper.it("answer as the real ones do", function()
    local umask = tonumber(helper.shell "umask", 8)
    for seed = 1, 40 do
      local base = helper.temp("script-" .. seed) .. "/"
      assert(proa.fs.mkdir(base))
      local real = script(seed, base, 60)
      local simulated = testing.run(function()
        assert(proa.fs.mkdir "/tmp/above")
        assert(proa.fs.mkdir "/tmp/above/x/")
        return script(seed, "/tmp/above/x/", 60)
      end, { seed = seed })
      if umask ~= 18 then return end -- 022, as the modes are shown
      for i = 1, #real do
        if real[i] ~= simulated[i] then
          error(("seed %d: really %s\nsimulated %s"):format(seed, real[i],
            simulated[i]))
        end
      end
    end
  end, { limit = 60 })

  helper.it("are nobody else's, and gone afterwards", function()
    for _ = 1, 2 do
      testing.run(function()
        assert.is_nil(proa.fs.read "/tmp/state")
        assert(proa.fs.write("/tmp/state", "here"))
        assert.equal("here", proa.fs.read "/tmp/state")
        assert.is_nil(io.open "/tmp/state")
      end)
    end
    local path = helper.temp_file("real", "real")
    testing.run(function()
      assert.is_nil(proa.fs.read(path))
    end)
    testing.run(function()
      assert.equal("real", proa.fs.read(path))
    end, { files = false })
  end)

  helper.it("take sockets by their paths", function()
    testing.run(function()
      local listener <close> = assert(proa.net.listen "unix:/tmp/socket")
      assert.equal("socket", proa.fs.stat "/tmp/socket".type)
      local client <close> = assert(proa.net.connect "unix:/tmp/socket")
      client:write "x\n"
      local server <close> = assert(listener:accept())
      assert.equal("x", server:read())
      local _, _, code = proa.net.listen "unix:/tmp/socket"
      assert.equal("EADDRINUSE", code)
      listener:close()
      proa.sleep(1)
      _, _, code = proa.fs.stat "/tmp/socket"
      assert.equal("ENOENT", code)
    end)
  end)

  helper.it("may fail, and be full", function()
    testing.run(function(sim)
      sim:fail("open", "EMFILE")
      local _, _, code = proa.fs.read "/tmp"
      assert.equal("EMFILE", code)
      sim:fail("write", "ENOSPC", { nth = 2 })
      local file <close> = assert(proa.fs.open("/tmp/f", "w"))
      assert(file:write_at(0, "a"))
      _, _, code = file:write_at(1, "b")
      assert.equal("ENOSPC", code)
      _, _, code = file:truncate(1 << 40)
      assert.equal("EFBIG", code)
    end)
  end)

  helper.it("keep locks", function()
    testing.run(function()
      local a <close> = assert(proa.fs.open("/tmp/f", "w"))
      local b <close> = assert(proa.fs.open("/tmp/f", "w"))
      assert(a:lock "exclusive")
      local got = false
      local task = proa.spawn(function()
        assert(b:lock "shared")
        got = true
      end)
      proa.sleep(5)
      assert.is_false(got)
      a:unlock()
      task:await()
      assert.is_true(got)
    end)
  end)

  helper.it("come in parts, and whole to who reads on", function()
    testing.explore(30, function()
      local text = ("0123456789"):rep(2000)
      assert(proa.fs.write("/tmp/long", text, { atomic = true }))
      local file <close> = assert(proa.fs.open "/tmp/long")
      assert.equal(text, file:read "a")
      local a, b = proa.net.pair()
      local copying = proa.spawn(function()
        local source <close> = assert(proa.fs.open "/tmp/long")
        assert.equal(#text, source:copy_to(a))
        a:close()
      end)
      assert.equal(text, b:read "a")
      copying:await()
      b:close()
    end, { chaos = 4 })
  end)
end)
