--- proactor: one by hand.
-- SPDX-License-Identifier: MIT
return { main = function(kit, proa)
  local p <close> = assert(proa.proactor.new())
  local r, w = assert(proa.fd.pipe())
  local _ <close> = r
  local _ <close> = w
  local pr, pw = assert(p:attach(r:fileno())), assert(p:attach(w:fileno()))
  local b = proa.buffer(8)
  local n
  local state, key, message = p:push("read", pr, b)
  kit.equal("pending", state, message)
  local how, value
  how, value, message = p:push("write", pw, "hello")
  if how == "ready" then assert(value, message) end
  for _ = 1, 20 do
    for _, ready in ipairs(assert(p:poll(5))) do
      if ready ~= key then assert(select(2, p:pop(ready))) end
    end
    state, n, message = p:pop(key)
    if state == "ready" then break end
  end
  kit.equal(5, n, message)
  kit.equal("hello", b:string(1, 5))
  state, key, message = p:push("read", pr, b)
  kit.equal("pending", state, message)
  p:cancel(key)
  p:push("timer", 5)
  p:push "nop"
end }
