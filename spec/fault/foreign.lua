--- foreign: waiting for descriptors of others, and for objects of cqueues'
-- protocol.
-- SPDX-License-Identifier: MIT
return function(kit, proa)
  local from, to = proa.fd.pipe()
  if not from then error(to) end
  local _ <close> = from
  local _ <close> = to
  local fd <close> = proa.fd { fileno = function() return to:fileno() end }
  kit.equal(true, fd:writable(kit.limit))
  kit.code("TIMEOUT", from:readable(0))
  local object = { pollfd = function() return to:fileno() end,
    events = function() return "w" end }
  local ready, message = proa.fd.poll(object, kit.limit)
  kit.equal(object, ready, message)
end
