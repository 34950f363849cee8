--- 200: reads and writes past the page cache failed with EINVAL on the poll
-- driver, whose workers gave the kernel memory that was not aligned.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"

local op = proa.op

describe("regress 200:", function()
  helper.it("a file past the page cache is read and written", function()
    local path = helper.temp_file("file", ("x"):rep(8192))
    local file <close>, _, code = op.open(path, "r+d"):await()
    if code == "EINVAL" then return end -- the file system has no such thing
    assert(file)
    local page = proa.buffer(("y"):rep(4096))
    assert.equal(4096, op.write(file, page, 1, -1, 4096):await())
    assert.equal(4096, op.read(file, page, 1, -1, 0):await())
    assert.equal(("x"):rep(4096), page:string())
  end)
end)
