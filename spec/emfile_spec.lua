--- No descriptor is left: accept says so, serve waits it out, no client is
-- lost.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"

-- Clients have their sockets before the descriptors run out.
local PROGRAM = [[
  local proa = require "proa"
  local said
  proa.on_log(function(level, message, fields)
    if fields.event == "accept" then said = level .. fields.code end
  end)
  proa.run(function()
    local listener = assert(proa.net.listen "127.0.0.1:0")
    local address, clients, hogs = listener:address(), {}, {}
    for i = 1, 3 do clients[i] = assert(proa.fd.socket(address)) end
    repeat -- all are kept: none may come back by a collection
      local hog = io.open "/dev/null"
      hogs[#hogs + 1] = hog
    until not hog
    for i = 1, 3 do assert(proa.op.connect(clients[i], address):await()) end
    print(select(3, listener:accept(5)))
    local served = 0
    local serving = proa.spawn(listener.serve, listener, function()
      served = served + 1
    end, { max = tonumber(os.getenv "MAX") })
    while not said do proa.sleep(0.001) end
    proa.sleep(0.06) -- longer than the listener's pause between tries
    print(served, said)
    for _, hog in ipairs(hogs) do hog:close() end
    while served < 3 do proa.sleep(0.001) end
    listener:close()
    serving:await()
    for i = 1, 3 do clients[i]:close() end
    print "all served"
  end)
]]

describe("without a descriptor left", function()
  local function check(env)
    if helper.driver == "sim" then return end -- has descriptors of its own
    local output, status = helper.lua(PROGRAM,
      { before = "ulimit -n 48", env = env })
    assert.equal("EMFILE\n0\twarnEMFILE\nall served\n", output)
    assert.equal(0, status)
  end

  helper.it_main("accept says EMFILE and serve goes on when there is one",
    function() check "" end)

  helper.it_main("serve with a limit goes on when there is one",
    function() check "MAX=1" end)
end)
