--- example_files_spec: the examples that work with files.
-- SPDX-License-Identifier: MIT

local example = require "spec.example"
local helper = require "spec.helper"
local lfs = require "lfs"

local temp, temp_file = helper.temp, helper.temp_file

describe("the example copy_tree", function()
  local function plant()
    temp_file("x", "")
    for _, dir in ipairs { "from", "from/a", "from/a/new\nline" } do
      assert(lfs.mkdir(temp(dir)))
    end
    temp_file("from/one", ("1"):rep(1000))
    temp_file("from/a/two", ("2"):rep(2000))
    temp_file("from/a/new\nline/three", ("3"):rep(72))
    assert(lfs.link("two", temp "from/a/link", true))
  end

  helper.it_main("copies what is there, and says how much", function()
    plant()
    local output, status = example.run("copy_tree", temp "from", temp "to")
    assert.equal(example.promised "copy_tree", output)
    assert.equal(0, status)
    assert.equal(("2"):rep(2000), helper.read_file(temp "to/a/link"))
    assert.equal("two", lfs.symlinkattributes(temp "to/a/link", "target"))
    assert.equal(("3"):rep(72), helper.read_file(temp "to/a/new\nline/three"))
    output, status = example.run("copy_tree", temp "from", temp "to", "1")
    assert.equal(example.promised "copy_tree", output)
    assert.equal(0, status)
  end)

  helper.it_main("ends with the first error", function()
    local output, status = example.run("copy_tree", temp "none", temp "to")
    assert.matches("none: no such file or directory", output)
    assert.equal(1, status)
  end)
end)

describe("the example tail", function()
  -- The example runs in the same process as what writes to its file, so that
  -- nobody has to guess when it has seen something.
  local PROGRAM = [[
    local proa = require "proa"
    local fs, path = proa.fs, %q
    local write, printed = io.write, {}
    local function note(text) printed[#printed + 1] = text end
    function io.write(...) note(table.concat { ... }) end
    function io.flush() end
    local print = print
    function _G.print(text) note(text .. "\n") end
    local function seen(text)
      while not table.concat(printed):find(text, 1, true) do proa.sleep(0.001) end
    end
    proa.spawn(function()
      seen "that was there\n"
      fs.append(path, "a line that was ")
      seen "a line that was "
      fs.append(path, "written to it\n")
      seen "written to it\n"
      fs.rename(path, path .. ".1")
      fs.append(path .. ".1", %q)
      fs.write(path, "the first line of the new one\n")
      seen "the new one\n"
      %s
      write(table.concat(printed))
      os.exit(0)
    end)
    arg = { [0] = "x", path, "1" }
    dofile "examples/tail.lua"
  ]]

  local function run(late, more)
    local path = temp_file("log", "first\nlast line that was there\n")
    return helper.lua(PROGRAM:format(path, late or "", more or ""))
  end

  helper.it_main("follows a file over its rotation", function()
    local output, status = run()
    assert.equal(example.promised "tail", output)
    assert.equal(0, status)
  end)

  helper.it_main("loses nothing of the old one, and goes on after a cut", function()
    local output, status = run("the rest of the old one\n", [[
      fs.write(path, "cut\n")
      seen "cut\n"
      for i = 1, 100 do fs.append(path, i .. " ") end
      seen "100 "
    ]])
    assert.equal(0, status, output)
    assert.matches("written to it\nthe rest of the old one\n%(rotated%)\nthe first",
      output)
    assert.matches("%(cut%)\ncut\n1 2 3 .* 99 100 $", output)
  end)

  helper.it_main("ends with a signal", function()
    local output, status = helper.lua(([[
      local proa = require "proa"
      arg = { [0] = "x", %q }
      local function catches_term() -- the kernel's word: bit 15 - 1
        local status = assert(proa.fs.read "/proc/self/status")
        local caught = tonumber(status:match "SigCgt:%%s*(%%x+)", 16)
        return caught & 0x4000 ~= 0
      end
      proa.spawn(function()
        while not catches_term() do proa.sleep(0.001) end
        os.execute("kill -TERM " .. proa.fs.readlink "/proc/self")
      end)
      dofile "examples/tail.lua"
      io.write "ended"
    ]]):format(temp_file("log", "")))
    assert.equal("ended", output)
    assert.equal(0, status)
  end)
end)
