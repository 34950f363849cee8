--- op_socket: socket, listen, connect, accept, send, sendmsg, recv, shutdown.
-- SPDX-License-Identifier: MIT
return function(kit, proa)
  local op, fd = proa.op, proa.fd
  local l <close> = assert(fd.listen "127.0.0.1:0")
  local c <close> = assert(fd.socket "127.0.0.1:0")
  local accepting = op.accept(l)
  assert(op.connect(c, l:address()):await())
  local s <close> = assert(accepting:await())
  assert(s:peer())
  assert(c:address())
  kit.equal(3, op.send(c, "abc"):await())
  kit.equal(3, op.sendmsg(c, { "de", "f" }):await())
  assert(op.shutdown(c, "w"):await())
  local b, got = proa.buffer(10), ""
  while true do
    local n, message = op.recv(s, b):await()
    assert(n or not message, message)
    if not n then break end
    got = got .. b:string(1, n)
  end
  assert(got == "abcdef", got)
end
