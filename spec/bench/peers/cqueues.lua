--- cqueues.lua: the same work on cqueues.
--
--   lua5.4 spec/bench/peers/cqueues.lua echo       says where it listens
--   lua5.4 spec/bench/peers/cqueues.lua KIND N     see task_kit.lua
-- SPDX-License-Identifier: MIT

local cqueues = require "cqueues"
local socket = require "cqueues.socket"

local PIECE_MAX = 65536

local queue = cqueues.new()

local function handle(conn)
  conn:setmode("bn", "bn") -- no line ends changed, nothing held back
  repeat
    local piece = conn:read(-PIECE_MAX) -- what there is, at most so much
  until not piece or not conn:write(piece)
  conn:close()
end

local function serve()
  local listener = assert(socket.listen { host = "127.0.0.1", port = 0 })
  assert(listener:listen())
  local _, host, port = listener:localname()
  print(("listening on %s:%d"):format(host, port))
  io.flush()
  queue:wrap(function()
    while true do
      queue:wrap(handle, assert(listener:accept { nodelay = true }))
    end
  end)
  assert(queue:loop())
end

if arg[1] == "echo" then
  serve()
else
  local here = arg[0]:match "^(.*)/" or "."
  package.path = here .. "/../?.lua;" .. package.path
  require("task_kit").measure {
    spawn = function(fn, i) queue:wrap(fn, i) end,
    yield = function() cqueues.sleep(0) end,
    sleep = cqueues.sleep,
    run = function(main)
      queue:wrap(main)
      assert(queue:loop())
    end,
  }
end
