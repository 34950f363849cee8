--- process_storm_spec: many children, many at once, each with a MiB through its
-- stdin and stdout: all bytes, all statuses, no zombie, nothing left open.
-- PROA_CHILDREN sets how many (default 60), and makes it tell what it took.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local lfs = require "lfs"
local proa = require "proa"

local COUNT = tonumber(os.getenv "PROA_CHILDREN") or 60
local AT_ONCE = 50
local BYTES = 1 << 20

--- What each child is to repeat: no two are alike, at no place.
local function input_of(i)
  local block = {}
  for j = 1, 64 do
    block[j] = ("%06d.%08x;"):format(i, i * 2654435761 * j & 0xffffffff)
  end
  return (table.concat(block):rep(BYTES // 1024 + 1)):sub(1, BYTES)
end

--- Children of this process, zombies too; the ones that it had before are not
-- counted by those who compare.
local function children()
  local own = helper.read_file "/proc/self/stat":match "^%d+"
  local count, zombies = 0, 0
  for name in lfs.dir "/proc" do
    local file = tonumber(name) and io.open("/proc/" .. name .. "/stat")
    local stat = file and file:read "a"
    if file then file:close() end
    local state, parent = (stat or ""):match "%) (%a) (%d+)"
    if parent == own then
      count, zombies = count + 1, zombies + (state == "Z" and 1 or 0)
    end
  end
  return count, zombies
end

local function one(i)
  local input = input_of(i)
  local r = assert(proa.process.run { "sh", "-c", "cat; exit $1", "sh", i % 200,
    input = input })
  assert(r.stdout == input, "other bytes")
  assert(r.code == i % 200 and not r.held, "another status")
  return #r.stdout
end

describe(COUNT .. " processes, " .. AT_ONCE .. " at once,", function()
  helper.it("give back all bytes and statuses, and leave nothing", function()
    local before, started = children(), proa.now()
    local next, done, bytes = 0, 0, 0
    local workers = {}
    for w = 1, AT_ONCE do
      workers[w] = function()
        while next < COUNT do
          next = next + 1
          local n = one(next) -- others count meanwhile
          bytes, done = bytes + n, done + 1
        end
        return true
      end
    end
    assert(proa.all(workers))
    assert.equal(COUNT, done)
    assert.equal(COUNT * BYTES, bytes)
    local now, zombies = children()
    assert.equal(0, zombies)
    assert.is_true(now <= before)
    if os.getenv "PROA_CHILDREN" then
      print(("%s: %d processes, %d MiB each way, in %.2f s"):format(
        helper.driver, done, bytes >> 20, proa.now() - started))
    end
  end, { limit = 120 })
end)
