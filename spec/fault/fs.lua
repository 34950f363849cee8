--- fs: whole files, names, directories, changes.
-- SPDX-License-Identifier: MIT
return function(kit, proa)
  local fs = proa.fs
  local dir = assert(fs.tmpdir())
  local _ <close> = setmetatable({}, { __close = function()
    os.execute("rm -rf '" .. dir .. "'")
  end })
  local watch <close> = assert(fs.watch(dir))
  assert(fs.write(dir .. "/a", "hello", { atomic = true, sync = false }))
  kit.equal("hello", fs.read(dir .. "/a"))
  assert(watch:next(kit.limit))
  assert(fs.mkdir(dir .. "/d/e", { parents = true }))
  kit.equal(5, fs.copy(dir .. "/a", dir .. "/d/b"))
  assert(fs.symlink("a", dir .. "/l"))
  kit.equal("a", fs.readlink(dir .. "/l"))
  assert(fs.rename(dir .. "/d/b", dir .. "/d/c"))
  kit.equal(5, assert(fs.stat(dir .. "/d/c")).size)
  local n = 0
  for path in fs.walk(dir) do n = n + #path end
  assert(n > 0)
  assert(fs.rm(dir .. "/d", { recursive = true }))
  kit.code("ENOENT", fs.stat(dir .. "/d"))
end
