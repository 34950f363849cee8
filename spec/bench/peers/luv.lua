--- luv.lua: the same work on luv (libuv), with a coroutine for each connection.
--
--   lua5.4 spec/bench/peers/luv.lua echo           says where it listens
--   lua5.4 spec/bench/peers/luv.lua KIND N         see task_kit.lua
--
-- luv itself has callbacks; what is here to read, write, yield and sleep from
-- a coroutine is what a script on luv has to bring along.
-- SPDX-License-Identifier: MIT

local uv = require "luv"

-- Returns a function that waits for the next piece; nil: the end.
local function reader(conn)
  local pieces, first, last, waiting, ended = {}, 1, 0, nil, false
  local function wake()
    local co = waiting
    waiting = nil
    if co then assert(coroutine.resume(co)) end
  end
  conn:read_start(function(err, piece)
    if err or not piece then
      ended = true
    else
      last = last + 1
      pieces[last] = piece
    end
    wake()
  end)
  return function()
    while first > last do
      if ended then return nil end
      waiting = coroutine.running()
      coroutine.yield()
    end
    local piece = pieces[first]
    pieces[first] = nil
    first = first + 1
    return piece
  end
end

-- True when it is written, after a wait if it must be.
local function write(conn, piece)
  local co, failed, over = coroutine.running(), nil, false
  local waits = false
  conn:write(piece, function(err)
    failed, over = err, true
    if waits then assert(coroutine.resume(co)) end
  end)
  if not over then
    waits = true
    coroutine.yield()
  end
  return not failed
end

local function handle(conn)
  for piece in reader(conn) do
    if not write(conn, piece) then break end
  end
  conn:close()
end

local function serve()
  local listener = uv.new_tcp()
  assert(listener:bind("127.0.0.1", 0))
  assert(listener:listen(4096, function(err)
    assert(not err, err)
    local conn = uv.new_tcp()
    listener:accept(conn)
    conn:nodelay(true)
    coroutine.wrap(handle)(conn)
  end))
  print("listening on 127.0.0.1:" .. listener:getsockname().port)
  io.flush()
  uv.run()
end

-- One idle handle resumes, once a turn of the loop, all that yielded.
local function yielder()
  local idle, waiting = uv.new_idle(), {}
  local function turn()
    local now = waiting
    waiting = {}
    for i = 1, #now do assert(coroutine.resume(now[i])) end
    if #waiting == 0 then idle:stop() end
  end
  return function()
    if #waiting == 0 then idle:start(turn) end
    waiting[#waiting + 1] = coroutine.running()
    coroutine.yield()
  end
end

local function sleep(seconds)
  local co, timer = coroutine.running(), uv.new_timer()
  timer:start(math.floor(seconds * 1000 + 0.5), 0, function()
    timer:close()
    assert(coroutine.resume(co))
  end)
  coroutine.yield()
end

if arg[1] == "echo" then
  serve()
else
  local here = arg[0]:match "^(.*)/" or "."
  package.path = here .. "/../?.lua;" .. package.path
  require("task_kit").measure {
    spawn = function(fn, i) return coroutine.wrap(fn)(i) end,
    yield = yielder(),
    sleep = sleep,
    run = function(main)
      coroutine.wrap(main)()
      uv.run()
    end,
  }
end
