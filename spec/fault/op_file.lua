--- op_file: open, write, read, fsync, with and without positions.
-- SPDX-License-Identifier: MIT
return function(kit, proa)
  local op = proa.op
  local path = os.tmpname()
  local _ <close> = setmetatable({}, { __close = function() os.remove(path) end })
  local f <close> = assert(op.open(path, "w+"):await())
  kit.equal(10, op.write(f, "0123456789"):await())
  kit.equal(2, op.write(f, proa.buffer "ab", 1, 2, 4):await())
  assert(op.fsync(f):await())
  assert(op.fsync(f, true):await())
  local b = proa.buffer(20)
  kit.equal(10, op.read(f, b, 1, -1, 0):await())
  assert(b:string(1, 10) == "0123ab6789")
  kit.code("ENOENT", op.open("/nowhere/at all", "r"):await())
end
