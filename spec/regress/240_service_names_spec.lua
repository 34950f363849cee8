--- 240_service_names: a service was ignored behind a host in numbers.
-- "127.0.0.1:http" was taken as port 0 without a word.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"

local net = proa.net

describe("the name of a service", function()
  helper.it("behind an address in numbers is looked up", function()
    local conn, message, code = net.connect "127.0.0.1:no-such-service"
    assert.is_nil(conn)
    assert.equal("connect 127.0.0.1:no-such-service: there is no such service",
      message)
    assert.equal("EAI_SERVICE", code)
    local socket <close> = assert(net.udp { connect = "127.0.0.1:discard" })
    assert.equal("127.0.0.1:9", socket:peer())
  end)

  helper.it("is none to listen at", function()
    assert.matches("a port is a number here",
      helper.error_of(net.listen, "127.0.0.1:http"))
  end)
end)
