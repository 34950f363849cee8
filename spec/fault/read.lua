--- read: every read method, over TCP.
-- SPDX-License-Identifier: MIT
return function(kit, proa)
  local a, b = kit.tcp_pair()
  local _ <close> = a
  local _ <close> = b
  a:timeout { read = kit.limit, write = kit.limit, idle = kit.limit }
  assert(b:write("one\ntwo\r\n", ("x"):rep(6000), "END", "12345678"))
  kit.equal("one\n", a:read "L")
  kit.equal("two", a:peek(3))
  kit.equal("two", a:read_until "\r\n")
  assert(#assert(a:read_exact(6000)) == 6000)
  a:unread "<"
  kit.equal("<END", a:read(4))
  local buffer = proa.buffer(8)
  local n = assert(a:read_into(buffer, 1, 3))
  local rest = n < 3 and a:read_exact(3 - n) or ""
  kit.equal("123", buffer:string(1, n) .. rest)
  kit.equal("45", a:read_exact(2))
  kit.code("TIMEOUT", a:read_exact(100, 0))
  assert(b:write "l1\nl2\n")
  assert(b:shutdown "w")
  n = 0
  for line in a:lines() do n = n + #line end
  assert(n == 7, n)
  kit.equal("", a:read "a")
  assert(a:write "abc")
  assert(a:shutdown "w")
  for chunk in b:chunks(10, kit.limit) do assert(#chunk > 0) end
end
