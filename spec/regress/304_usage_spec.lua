--- 304: examples with arguments that they can't take printed tracebacks.
-- SPDX-License-Identifier: MIT

local example = require "spec.example"
local helper = require "spec.helper"

local refused = {
  { "chat", "nonsense" },
  { "connection_churn", "many" },
  { "copy_tree", "from" },
  { "copy_tree", "from", "to", "0" },
  { "echo_client", "nonsense" },
  { "echo_server", "nonsense" },
  { "parallel_connect" },
  { "parallel_connect", "nonsense" },
  { "proxy", "127.0.0.1:0" },
  { "proxy", "127.0.0.1:0", "nonsense" },
  { "stuck" },
  { "stuck", "nonsense" },
  { "tail" },
  { "tail", "file", "many" },
  { "udp_echo", "nonsense" },
  { "udp_echo", "client" },
}

describe("the example", function()
  for _, words in ipairs(refused) do
    helper.it_main(table.concat(words, " ") .. " says how it is used", function()
      local output, status = example.run(table.unpack(words))
      assert.match("^usage: " .. words[1] .. "%.lua [^\n]*\n$", output)
      assert.equal(2, status)
    end)
  end

  helper.it_main("echo_server says why it can't listen", function()
    local output, status = example.run("echo_server", "unix:/none/such")
    assert.equal("listen unix:/none/such: no such file or directory\n", output)
    assert.equal(1, status)
  end)
end)
