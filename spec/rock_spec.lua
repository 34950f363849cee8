--- rock_spec: what `make install` and LuaRocks build, install and pack.
-- It works on a copy of the checkout, with nothing of this process's
-- environment, and tries what was installed from another directory with that
-- tree alone on Lua's paths. The rock knows no drivers, so once is enough:
-- with the driver that every machine has, without sanitizers.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local lfs = require "lfs"
local proa = require "proa"

if helper.driver ~= "poll" or helper.sanitized then return end

local lua = (os.getenv "PROA_LUA" or ""):match ".+" or "lua5.4"
-- Alpine's name has the version (Debian's so named loses quotes)
local luarocks = select(2, helper.shell(
  "! command -v luarocks && command -v luarocks-5.4")) == 0 and
  "luarocks-5.4" or "luarocks"
local top -- holds the copy and all that is made of it; one for all tests

local function it(name, fn)
  helper.it_main(name, fn, { limit = 200 })
end

local function quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

--- Run shell code in $top/proa with a clean environment, $top $lua $LUAROCKS.
---@return string output stdout and stderr, integer status
local function try(code)
  local words = { "env -i", "PATH=" .. quote(os.getenv "PATH"), "LC_ALL=C",
    "HOME=" .. top, "TMPDIR=" .. top, "top=" .. top, "lua=" .. quote(lua),
    "LUAROCKS='" .. luarocks .. " --lua-version 5.4'", "MAKEFLAGS=-j$(nproc)",
    "sh -c", quote("set -e; cd $top/proa\n" .. code) }
  return helper.shell(table.concat(words, " "), 180)
end

--- The same, which has to succeed.
local function sh(code)
  local output, status = try(code)
  if status ~= 0 then error(output, 2) end
  return output
end

--- A shell function `alone TREE args...`: becomes lua, with that tree alone.
local alone = [[
  alone() {
    export PROA_DRIVER=poll LUA_CPATH="$1/lib/lua/5.4/?.so"
    export LUA_PATH="$1/share/lua/5.4/?.lua;$1/share/lua/5.4/?/init.lua"
    shift; cd /; exec "$lua" "$@"
  }
]]

local uses = [[-e '
  local proa = require "proa"
  print(package.searchpath("proa.core", package.cpath))
  proa.run(function()
    local a, b = proa.net.pair()
    a:write "a line\n"
    print(b:read "l")
  end)' 2>&1]]

local function files_below(directory)
  return sh(("cd %s && find . -type f | sort"):format(directory))
end

--- A rockspec's globals.
local function rockspec(path)
  local spec = {}
  assert(loadfile(path, "t", spec))()
  return spec
end

local paths = {}
for name in lfs.dir "rockspec" do
  if name:find "%.rockspec$" then paths[#paths + 1] = "rockspec/" .. name end
end

lazy_setup(function()
  top = os.tmpname()
  assert(os.remove(top))
  assert(lfs.mkdir(top))
  local _, status = helper.shell("mkdir " .. top .. "/proa && cp -R .ci " ..
    ".gitignore csrc examples lua rockspec spec CHANGELOG.md LICENSE " ..
    "Makefile README.md " .. top .. "/proa")
  assert(status == 0)
  -- one C test is enough to see that they are run
  sh "cd spec/c; mv list_test.c ..; rm *_test.c; mv ../list_test.c ."
end)

lazy_teardown(function()
  helper.shell("rm -rf " .. top)
end)

describe("the rockspecs", function()
  it("are one but for the version and where it comes from", function()
    local scm = rockspec "rockspec/proa-scm-1.rockspec"
    assert.is_true(#paths >= 2)
    for _, path in ipairs(paths) do
      local spec = rockspec(path)
      assert.equal(path, ("rockspec/%s-%s.rockspec"):format(spec.package,
        spec.version))
      assert.equal(scm.source.url, spec.source.url)
      local tag = "v" .. spec.version:gsub("%-%d+$", "")
      assert.equal(spec.version ~= "scm-1" and tag or nil, spec.source.tag)
      spec.version, spec.source = scm.version, scm.source
      assert.same(scm, spec)
    end
  end)

  it("have one for the version that the code is or will be", function()
    local version = proa.info().version
    local release = version:match "^(%d+%.%d+%.%d+)$" or
      version:match "^(%d+%.%d+%.%d+)%-dev$"
    assert.is_truthy(release, version)
    assert.is_truthy(lfs.attributes(
      ("rockspec/proa-%s-1.rockspec"):format(release)))
  end)
end)

describe("make", function()
  it("installs all Lua and C files and the examples, and works", function()
    local output = sh("make && make install DESTDIR=$top/d PREFIX=/p")
    local version = proa.info().version:gsub("%p", "%%%0")
    assert.match("proa " .. version .. " is built, with liburing %d+%.%d+\n" ..
      "optional parts: there are none yet\n", output)
    assert.equal(files_below "lua", files_below "$top/d/p/share/lua/5.4")
    assert.equal(files_below "examples",
      files_below "$top/d/p/share/doc/proa/examples")
    assert.equal(sh "cd csrc && ls *.c",
      sh [[nm -a $top/d/p/lib/lua/5.4/proa/core.so |
        sed -n 's/.* a \(.*\.c\)$/\1/p' | grep -v '^crtstuff' | sort -u]])
    assert.equal(("%s/d/p/lib/lua/5.4/proa/core.so\na line\n"):format(top),
      sh(alone .. "alone $top/d/p " .. uses))
  end)

  it("uninstalls all of it and nothing else", function()
    sh [[
      make install DESTDIR=$top/gone
      touch $top/gone/usr/local/share/doc/proa/mine
      make uninstall DESTDIR=$top/gone
    ]]
    assert.equal("./usr/local/share/doc/proa/mine\n", files_below "$top/gone")
    sh [[
      rm $top/gone/usr/local/share/doc/proa/mine
      make uninstall DESTDIR=$top/gone
      test ! -e $top/gone/usr/local/share/doc/proa
    ]]
  end)

  it("says what to install where liburing is missing or too old", function()
    local function refused(how)
      local output, status = try("make BUILD=$top/refused CPPFLAGS=" .. how)
      assert.equal(2, status)
      assert.match("needs liburing 2.3 or later .*; install\n" ..
        "liburing%-dev %(Debian", output)
      assert.is_nil(output:find(" -c ", 1, true), "something was compiled")
    end
    refused "-nostdinc"
    sh [[
      mkdir $top/old
      echo '#define IORING_SETUP_CQE32 1' >$top/old/liburing.h
    ]]
    refused "-I$top/old"
  end)

  it("builds an optional part, or names its package", function()
    local output = sh([[
      trap "rm -f csrc/lua_toy.c" EXIT
      cat >csrc/lua_toy.c <<'END'
#include <lauxlib.h>
#include <math.h>
__attribute__((visibility("default"))) int luaopen_proa_toy(lua_State *L) {
  lua_pushnumber(L, cbrt(luaL_optnumber(L, 3, 27)));
  return 1;
}
END
      parts='PARTS=toy:math.h:m,pthread:libc6-dev none:no/such.h:x:libnone-dev'
      make "$parts"
      make install DESTDIR=$top/parts PREFIX=/p "$parts"
      rm csrc/lua_toy.c
      trap - EXIT
    ]] .. alone .. [[
      alone $top/parts/p -e 'print(require "proa.toy")'
    ]])
    assert.match("\noptional parts:\n  toy: built\n" ..
      "  none: left out: no no/such%.h; install libnone%-dev\n", output)
    assert.match("\n3%.0\t[^\n]*/proa/toy%.so\n$", output)
    assert.equal("./core.so\n./toy.so\n",
      files_below "$top/parts/p/lib/lua/5.4/proa")
  end)
end)

--- A test that needs these programs, or one that is skipped and says why.
local function it_with(programs, name, fn)
  for program in programs:gmatch "%S+" do
    if select(2, helper.shell("command -v " .. program)) ~= 0 then
      return pending(("%s: %s is not installed"):format(name, program))
    end
  end
  it(name, fn)
end

describe("LuaRocks", function()
  it_with(luarocks, "finds nothing wrong with the rockspecs", function()
    for _, path in ipairs(paths) do sh("$LUAROCKS lint " .. path) end
  end)

  it_with(luarocks, "makes a tree that holds what make install does", function()
    local output = sh [[
      $LUAROCKS make --tree $top/tree rockspec/proa-scm-1.rockspec
      make install DESTDIR=$top/same PREFIX=
    ]]
    assert.match("is built, with liburing.*\nproa scm%-1 is now installed",
      output)
    assert.equal(files_below "$top/same/share/lua",
      files_below "$top/tree/share/lua")
    assert.equal(files_below "$top/same/lib/lua",
      files_below "$top/tree/lib/lua")
    assert.equal(files_below "$top/same/share/doc/proa",
      files_below "$top/tree/lib/luarocks/rocks-5.4/proa/scm-1/doc")
    assert.equal(("%s/tree/lib/lua/5.4/proa/core.so\na line\n"):format(top),
      sh(alone .. "alone $top/tree " .. uses))
  end)

  it_with(luarocks, "installs examples that run", function()
    local output = sh(alone .. [[
      $LUAROCKS make --tree $top/ran rockspec/proa-scm-1.rockspec \
        >$top/log 2>&1 || cat $top/log
      examples=$top/ran/lib/luarocks/rocks-5.4/proa/scm-1/doc/examples
      mkfifo $top/said
      alone $top/ran $examples/echo_server.lua 127.0.0.1:0 >$top/said 2>&1 &
      trap "kill $! 2>/dev/null || :" EXIT
      exec 3<$top/said
      read -r said <&3
      (alone $top/ran $examples/echo_client.lua "${said#listening on }" hello)
      kill -TERM $!
      cat <&3
    ]])
    assert.equal("hello\nstopped by TERM, connections served: 1\n", output)
  end)

  it_with(luarocks .. " git", "packs a source rock and installs it", function()
    local output = sh(alone .. [[
      git init -q && git add . &&
        git -c user.name=x -c user.email=x@localhost commit -qm x
      git tag v0.1.0
      make rock
      make rock ROCK=0.1.0-1
      $LUAROCKS install --tree $top/from build/proa-0.1.0-1.src.rock \
        >$top/log 2>&1 || cat $top/log
      ls build/*.rock
      unzip -p build/proa-0.1.0-1.src.rock proa-0.1.0-1.rockspec |
        cmp - rockspec/proa-0.1.0-1.rockspec
      alone $top/from ]] .. uses)
    assert.match(([[
build/proa-0.1.0-1.src.rock
build/proa-scm-1.src.rock
%s/from/lib/lua/5.4/proa/core.so
a line
]]):format(top):gsub("[%-.]", "%%%0") .. "$", output)
  end)

  it_with(luarocks, "tests with the project's own runner", function()
    local output = sh(
      "$LUAROCKS test -- DRIVER=sim FILTER='is refused after the first use'")
    assert.match("list_test: %d+ passed, 0 failed\n== specs on sim .*\n" ..
      "specs: [1-9]%d* passed, 0 failed", output)
  end)
end)
