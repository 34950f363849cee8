--- codec: one over a socket, one over another, messages over a plain stream.
-- SPDX-License-Identifier: MIT
return function(kit, proa)
  local frames = require "proa_spec_frames"
  local a, b = assert(proa.net.pair())
  local c <close> = frames.wrap(frames.wrap(a))
  local d <close> = frames.wrap(frames.wrap(b))
  local list = assert(proa.all {
    function() return d:read_exact(9000, kit.limit) end,
    function()
      assert(c:write(("q"):rep(9000)))
      return c:flush(kit.limit)
    end,
  })
  kit.equal(9000, #list[1])
  assert(d:write "answer\n")
  kit.equal("answer", c:read("l", { timeout = kit.limit }))
  local e, f = assert(proa.net.pair { memory = true })
  local _ <close> = e
  local _ <close> = f
  assert(frames.write(e, "message"), "no memory")
  kit.equal("message", frames.read(f))
end
