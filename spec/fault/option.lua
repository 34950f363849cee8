--- option: options and names of streams.
-- SPDX-License-Identifier: MIT
return function(kit)
  local a, b = kit.tcp_pair()
  local _ <close> = a
  local _ <close> = b
  assert(a:option "nodelay" == true)
  assert(a:option("nodelay", false))
  assert(a:option("rcvbuf", 8192))
  assert(a:option "type" and a:address() and a:peer() == b:address())
  assert(tostring(a):find "stream" and not a:closed())
  local ok, err = pcall(a.option, a, "nonsense")
  assert(not ok and tostring(err):find "nonsense", err)
end
