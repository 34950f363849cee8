--- op_misc: nop, timer, resolve; futures that nobody collects.
-- SPDX-License-Identifier: MIT
return function(kit, proa)
  local op = proa.op
  assert(op.nop():await())
  assert(op.timer(0.0003):await())
  local list = assert(op.resolve("127.0.0.1", "80"):await())
  assert(list[1] == "127.0.0.1:80", list[1])
  op.timer(0.0002)
  op.nop()
  local t = op.timer(5)
  t:cancel()
  kit.code("CANCELLED", t:await())
  proa.sleep(0.0005)
end
