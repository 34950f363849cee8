--- fd: descriptors and raw operations on pipes and pairs.
-- SPDX-License-Identifier: MIT
return function(kit, proa)
  local op, fd = proa.op, proa.fd
  local r, w = assert(fd.pipe())
  local _ <close> = r
  local _ <close> = w
  kit.equal(5, op.write(w, "hello"):await())
  kit.equal("r", op.ready(r, "r"):await())
  local b = proa.buffer(16)
  kit.equal(5, op.read(r, b):await())
  assert(b:string(1, 5) == "hello")
  local waiting = op.read(r, b)
  proa.sleep(0)
  waiting:cancel()
  kit.code("CANCELLED", waiting:await())
  assert(#b == 16 and tostring(r):find "fd")
  local a <close>, c = assert(fd.pair())
  local f = op.recv(a, b)
  proa.sleep(0)
  a:close()
  kit.code("CLOSED", f:await())
  assert(op.close(c):await())
  assert(fd.wrap(0):fileno() == 0)
end
