--- unix_spec.lua: listening at Unix paths and names, and their addresses.
-- A path outlives its socket: whoever listens there next replaces it when
-- nobody is bound to it, and removes it at the end when it is still its own.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local lfs = require "lfs"
local proa = require "proa"

local it = helper.it
local net = proa.net

local function mode_of(path)
  return lfs.symlinkattributes(path, "mode")
end

local function permissions(path)
  return lfs.symlinkattributes(path, "permissions")
end

--- A path whose socket went without removing it: its process just ended.
local function stale_path()
  local path = helper.temp "stale"
  local _, status = helper.lua(([[
    local proa = require "proa"
    assert(proa.net.listen(%q))
    os.exit(true, false)
  ]]):format("unix:" .. path))
  assert.equal(0, status)
  assert.equal("socket", mode_of(path))
  return path
end

--- A client and its server talk through the listener.
local function check_serves(listener, address)
  local conn <close> = assert(net.connect(address))
  local served <close> = assert(listener:accept(5))
  conn:write "hello\n"
  assert.equal("hello", served:read "l")
  return conn:peer(), served:address()
end

--- listen fails, and what is there stays what it is.
local function check_refused(path, code, message)
  local before = mode_of(path)
  local listener, text, given = net.listen("unix:" .. path)
  assert.is_nil(listener)
  assert.equal(("listen unix:%s: %s"):format(path, message), text)
  assert.equal(code, given)
  assert.equal(before, mode_of(path))
end

describe("a Unix path to listen at", function()
  it("is replaced when nobody is bound to it any more", function()
    local path = stale_path()
    assert.equal("ECONNREFUSED", select(3, net.connect("unix:" .. path)))
    local listener <close> = assert(net.listen("unix:" .. path))
    check_serves(listener, "unix:" .. path)
  end)

  it("is left alone while somebody listens there, who is not disturbed",
    function()
      local path = helper.temp "socket"
      local listener <close> = assert(net.listen("unix:" .. path))
      local accepting = proa.spawn(listener.accept, listener)
      check_refused(path, "EADDRINUSE", "address already in use")
      helper.turns()
      assert.equal("waiting", (accepting:status()))
      assert.equal(0, listener:parked())
      local conn <close> = assert(net.connect("unix:" .. path))
      local served <close> = accepting:await()
      assert.equal("unix:" .. path, conn:peer())
      assert.equal("unix:" .. path, served:address())
    end)

  it("that is no socket is never removed", function()
    local why = "the path exists and is not a socket"
    local file = helper.temp_file("file", "precious")
    check_refused(file, "ENOTSOCK", why)
    assert.equal("precious", helper.read_file(file))
    local dir = helper.temp "dir"
    assert(lfs.mkdir(dir))
    check_refused(dir, "ENOTSOCK", why)
    local link = helper.temp "link"
    assert(lfs.link(stale_path(), link, true))
    check_refused(link, "ENOTSOCK", why)
    assert(lfs.link("/nowhere", helper.temp "dangling", true))
    check_refused(helper.temp "dangling", "ENOTSOCK", why)
  end)

  it("that cannot be made is an error with its name", function()
    local missing = helper.temp "no/such/dir"
    check_refused(missing, "ENOENT", "no such file or directory")
    local below = helper.temp_file("file", "") .. "/socket"
    check_refused(below, "ENOTDIR", "not a directory")
  end)

  it("that may not be made is an error with its name", function()
    -- not even root may make a file there
    local listener, message, code = net.listen "unix:/sys/proa-socket"
    assert.is_nil(listener)
    assert.matches("^listen unix:/sys/proa%-socket: %l", message)
    assert.is_truthy(code == "EPERM" or code == "EACCES" or code == "EROFS",
      code)
  end)
end)

describe("closing a Unix listener", function()
  it("removes its path", function()
    local path = helper.temp "socket"
    local listener = assert(net.listen("unix:" .. path))
    assert.equal("socket", mode_of(path))
    listener:close()
    assert.is_nil(mode_of(path))
    assert.equal("ENOENT", select(3, net.connect("unix:" .. path)))
  end)

  it("removes its path when it is collected, or the script ends", function()
    local path = helper.temp "socket"
    net.listen("unix:" .. path)
    collectgarbage()
    assert.is_nil(mode_of(path))
    local _, status = helper.lua(([[
      local proa = require "proa"
      LISTENER = assert(proa.net.listen(%q))
    ]]):format("unix:" .. path))
    assert.equal(0, status)
    assert.is_nil(mode_of(path))
  end)

  it("leaves the path when another file is there by now", function()
    local path = helper.temp "socket"
    local first = assert(net.listen("unix:" .. path))
    assert(os.remove(path))
    local second <close> = assert(net.listen("unix:" .. path))
    first:close()
    assert.equal("socket", mode_of(path))
    check_serves(second, "unix:" .. path)
  end)

  it("leaves the path of one that could not be opened", function()
    local path = helper.temp "socket"
    local listener <close> = assert(net.listen("unix:" .. path))
    for _ = 1, 3 do assert.is_nil((net.listen("unix:" .. path))) end
    check_serves(listener, "unix:" .. path)
  end)
end)

describe("the mode of a Unix listener", function()
  it("is that of its path, in octal digits or as an integer", function()
    for name, mode in pairs { ["660"] = "rw-rw----", ["0600"] = "rw-------",
      ["777"] = "rwxrwxrwx", ["000"] = "---------" } do
      local path = helper.temp(name)
      local _ <close> = assert(net.listen("unix:" .. path,
        { mode = name }))
      assert.equal(mode, permissions(path))
    end
    local path = helper.temp "integer"
    local listener <close> = assert(net.listen("unix:" .. path,
      { mode = 0x1B0 }))
    assert.equal("rw-rw----", permissions(path))
    check_serves(listener, "unix:" .. path)
  end)

  it("is given whatever the umask is; without one the umask decides",
    function()
      local path = helper.temp "socket"
      local program = ([[
        local proa, lfs = require "proa", require "lfs"
        for _, mode in ipairs { false, "666" } do
          local listener <close> = assert(proa.net.listen(%q,
            { mode = mode or nil }))
          print(lfs.attributes(%q, "permissions"))
        end
      ]]):format("unix:" .. path, path)
      assert.equal("rwxr-x---\nrw-rw-rw-\n",
        (helper.lua(program, { before = "umask 027" })))
    end)

  it("must be permissions", function()
    local address = "unix:" .. helper.temp "socket"
    for _, mode in ipairs { 660, -1, 0x200, 1.5, "rw", "9", "66", "1777", "888",
      "", true } do
      local message = helper.error_of(net.listen, address, { mode = mode })
      assert.matches("listen: mode: octal digits like \"660\"", message, 1, true)
      assert.matches("got " .. tostring(mode), message, 1, true)
    end
    assert.is_nil(mode_of(helper.temp "socket"))
  end)

  it("is for paths alone", function()
    for _, address in ipairs { "127.0.0.1:0", ":0", "unix:@proa-mode" } do
      assert.matches("mode is for paths of Unix sockets",
        helper.error_of(net.listen, address, { mode = "600" }))
    end
    assert.matches("reuse_port is for TCP", helper.error_of(net.listen,
      "unix:" .. helper.temp "socket", { reuse_port = true }))
  end)
end)

describe("a path that connect binds", function()
  --- A client that is bound to the path, and the server's end.
  local function bound(listener, path)
    local conn, message, code = net.connect(listener:address(),
      { bind = "unix:" .. path })
    if not conn then return nil, message, code end
    return conn, assert(listener:accept())
  end

  local function listening()
    return assert(net.listen("unix:" .. helper.temp "server"))
  end

  it("names the client, and is removed when it is closed", function()
    local listener <close> = listening()
    local path = helper.temp "client"
    for _, ends in ipairs { "close", "abort" } do
      local conn, served = bound(listener, path)
      assert.equal("unix:" .. path, conn:address())
      assert.equal("unix:" .. path, served:peer())
      assert.equal("socket", lfs.attributes(path, "mode"))
      conn[ends](conn)
      assert.is_nil(lfs.attributes(path))
      served:close()
    end
  end)

  it("is removed when nobody takes the connection", function()
    local path = helper.temp "client"
    local _, _, code = net.connect("unix:" .. helper.temp "nobody",
      { bind = "unix:" .. path })
    assert.equal("ENOENT", code)
    assert.is_nil(lfs.attributes(path))
  end)

  it("is left alone when it is another file by then", function()
    local listener <close> = listening()
    local path = helper.temp "client"
    local conn, served = bound(listener, path)
    os.remove(path)
    local other = assert(net.listen("unix:" .. path))
    conn:close()
    served:close()
    assert.equal("socket", lfs.attributes(path, "mode"))
    other:close()
  end)

  it("is replaced when nobody is bound to it, and only then", function()
    local listener <close> = listening()
    local path, file = helper.temp "client", helper.temp_file("file", "")
    local stale = assert(proa.fd.socket("unix:" .. path))
    assert(stale:bind("unix:" .. path))
    local _, message, code = bound(listener, path)
    assert.equal("EADDRINUSE", code)
    assert.equal(("connect %s: bind unix:%s: address already in use"):format(
      listener:address(), path), message)
    stale:close()
    local conn, served
    helper.wait_until(function() -- the descriptor is closed in the background
      conn, served = bound(listener, path)
      return conn
    end)
    conn:close()
    served:close()
    _, message, code = bound(listener, file)
    assert.equal("ENOTSOCK", code)
    assert.matches("bind unix:.*the path exists and is not a socket", message)
    assert.equal("file", lfs.attributes(file, "mode"))
  end)
end)

describe("a Unix address", function()
  local function round_trip(address)
    local listener <close> = assert(net.listen(address))
    assert.equal(address, listener:address())
    local peer, own = check_serves(listener, listener:address())
    assert.equal(address, peer)
    assert.equal(address, own)
  end

  it("that is a path of any bytes round-trips", function()
    round_trip("unix:" .. helper.temp "with space:and@\n\xff")
    local longest = helper.temp ""
    round_trip("unix:" .. longest .. ("x"):rep(107 - #longest))
  end)

  it("that is an abstract name of any bytes round-trips", function()
    local unique = "unix:@" .. helper.temp "" -- other runs have another
    round_trip(unique)
    round_trip(unique .. "\0zero\n\xff@")
    round_trip(unique .. ("x"):rep(113 - #unique))
  end)

  it("that is an abstract name is free again after close", function()
    local address = "unix:@" .. helper.temp ""
    local listener = assert(net.listen(address))
    local again, message, code = net.listen(address)
    assert.is_nil(again)
    assert.equal(("listen %s: address already in use"):format(address), message)
    assert.equal("EADDRINUSE", code)
    listener:close()
    helper.wait_until(function()
      again = net.listen(address)
      return again
    end)
    again:close()
  end)

  it("of a peer without a name is \"unix:\", which nobody can connect to",
    function()
      local path = helper.temp "socket"
      local listener <close> = assert(net.listen("unix:" .. path))
      local conn <close> = assert(net.connect("unix:" .. path))
      local served <close> = assert(listener:accept())
      assert.equal("unix:", served:peer())
      assert.equal("unix:", conn:address())
      assert.matches("a unix address needs a path",
        helper.error_of(net.connect, served:peer()))
      local a, b = net.pair()
      assert.equal("unix:", a:peer())
      assert.equal("unix:", b:address())
      a:close()
      b:close()
    end)

  it("is shown with its control characters escaped", function()
    local address = "unix:@" .. helper.temp "" .. "\0\27[2J"
    local text = address:gsub("%c", { ["\0"] = "\\x00", ["\27"] = "\\x1b" })
    local conn, message, code = net.connect(address)
    assert.is_nil(conn)
    assert.equal(("connect %s: connection refused"):format(text), message)
    assert.equal("ECONNREFUSED", code)
    local listener <close> = assert(net.listen(address))
    assert.equal("proa.listener " .. text, tostring(listener))
    assert.equal(("listen %s: address already in use"):format(text),
      select(2, net.listen(address)))
  end)
end)
