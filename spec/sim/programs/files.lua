--- files: of the world's own. Tasks write and read parts of files, at offsets
-- and as streams, while others do, and are given up; what was told as written
-- is there, and nothing else.
-- SPDX-License-Identifier: MIT

local proa = require "proa"
local fs = proa.fs

local function expect(holds, ...)
  if not holds then error(string.format(...), 2) end
end

--- A region of a file that is one task's own, and what is known of it: the
-- bytes, or nil where a write was given up.
local function own_region(rng, file, from, n)
  local known = ("\0"):rep(n)
  for _ = 1, rng(1, 8) do
    local at = rng(0, n - 1)
    local len = rng(1, n - at)
    if rng:chance(2) then
      local data = rng:bytes(len)
      if rng:chance(2) then
        local b = proa.buffer(data)
        assert(file:write_at(from + at, b))
        expect(b:string() == data, "a buffer that was written has changed")
      else
        assert(file:write_at(from + at, data))
      end
      known = known:sub(1, at) .. data .. known:sub(at + len + 1)
    elseif rng:chance(3) then
      -- given up or not, the buffer comes back, and the file stays as it is
      local b = proa.buffer(len)
      proa.timeout(rng:float() * 0.001, file.read_into_at, file, from + at, b)
      b:string()
    elseif rng:chance(3) then
      -- given up or not, the op is on its way, and wakes nobody else
      local data = proa.timeout(rng:float() * 0.001, file.read_at, file,
        from + at, len)
      expect(not data or data == known:sub(at + 1, at + len),
        "%d bytes at %d, read in time, are not what was written", len, from + at)
    else
      local data = assert(file:read_at(from + at, len))
      expect(data == known:sub(at + 1, at + len),
        "%d bytes at %d are not what was written", len, from + at)
    end
  end
  return known
end

local function regions(rng, path)
  local file <close> = assert(fs.open(path, "w+"))
  local size, n = rng(10, 400), rng(1, 4)
  assert(file:truncate(size * n))
  local tasks, all = {}, {}
  for i = 1, n do
    tasks[i] = proa.spawn(own_region, rng, file, (i - 1) * size, size)
  end
  for i, task in ipairs(tasks) do all[i] = task:await() end
  expect(fs.read(path) == table.concat(all), "%s is not what was written", path)
end

--- Lines that several append, each of them whole and once.
local function appending(rng, path)
  local tasks, expected = {}, {}
  for i = 1, rng(1, 3) do
    tasks[i] = proa.spawn(function()
      for j = 1, rng(1, 5) do
        local line = ("%d %d\n"):format(i, j)
        expected[line] = true
        assert(fs.append(path, line))
      end
    end)
  end
  for _, task in ipairs(tasks) do task:await() end
  local text = assert(fs.read(path))
  for line in text:gmatch "[^\n]*\n" do
    expect(expected[line], "a line is there twice, or cut: %q", line)
    expected[line] = nil
  end
  expect(next(expected) == nil, "a line is missing")
end

--- Whoever reads it sees one version or another, never a mixture.
local function versions(rng, path)
  local function version(i) return (tostring(i) .. "\n"):rep(50) end
  assert(fs.write(path, version(0)))
  local last, n = 0, rng(1, 4)
  local writer = proa.spawn(function()
    for i = 1, n do
      assert(fs.write(path, version(i), { atomic = true }))
    end
  end)
  while last < n do
    local text = assert(fs.read(path))
    local i = tonumber(text:match "^%d+")
    expect(text == version(i), "an atomic write was seen half done")
    expect(i >= last, "an older version came back")
    last = i
    proa.sleep(rng:float() * 0.001)
  end
  writer:await()
end

--- As streams: into a socket, and from one.
local function streaming(rng, path, sim)
  local text = rng:bytes(rng(1, 3000))
  assert(fs.write(path, text))
  local a, b = assert(sim.kit.pair(rng))
  local sender = proa.spawn(function()
    local file <close> = assert(fs.open(path))
    assert(file:copy_to(a))
    assert(a:shutdown "w")
  end)
  local copy <close> = assert(fs.open(path .. ".copy", "w"))
  assert(b:copy_to(copy))
  assert(copy:flush())
  sender:await()
  a:close()
  b:close()
  expect(fs.read(path .. ".copy") == text, "a copy differs")
end

local function locking(rng, path)
  local inside, tasks = 0, {}
  for i = 1, rng(2, 3) do
    tasks[i] = proa.spawn(function()
      local file <close> = assert(fs.open(path, "a"))
      assert(file:lock "exclusive")
      inside = inside + 1
      expect(inside == 1, "two have the lock")
      proa.sleep(rng:float() * 0.01)
      inside = inside - 1
      if rng:chance(2) then file:unlock() end
    end)
  end
  for _, task in ipairs(tasks) do task:await() end
end

local function trees(rng, path)
  assert(fs.mkdir(path))
  local names = {}
  for i = 1, rng(1, 6) do
    names[i] = "n" .. i
    assert(fs.write(path .. "/n" .. i, ""))
  end
  local seen = {}
  for name in fs.list(path) do seen[#seen + 1] = name end
  table.sort(seen)
  expect(table.concat(seen, " ") == table.concat(names, " "),
    "a directory lists %s", table.concat(seen, " "))
  for _, name in ipairs(names) do assert(fs.rm(path .. "/" .. name)) end
  assert(fs.rm(path))
  local gone, _, code = fs.stat(path)
  expect(not gone and code == "ENOENT", "what was removed is still there")
end

local kinds = { regions, regions, appending, versions, streaming, locking,
  trees }

return function(rng, _, sim)
  local tasks = {}
  for i = 1, rng(1, 3) do
    tasks[i] = proa.spawn(rng:pick(kinds), rng, "/tmp/" .. i, sim)
  end
  for _, task in ipairs(tasks) do task:await() end
end
