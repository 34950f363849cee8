-- report.lua - busted's output: failures at once, silence else, one sum.
--
-- A failure is printed when it happens, with its place and traceback, because
-- a later test may crash or hang. For the same reason the name of the test
-- that runs is kept in the file $PROA_REPORT until the sum replaces it there
-- ("done passed failed skipped"): spec/run reads it, and nothing that a test
-- prints can be mistaken for the result.
-- SPDX-License-Identifier: MIT

local busted = require "busted"
local pretty = require "pl.pretty"

local report_path = os.getenv "PROA_REPORT" or ""

local function report(line)
  if report_path == "" then return end
  local file = assert(io.open(report_path, "w"))
  file:write(line, "\n")
  file:close()
end

local function indent(text)
  return (text:gsub("^%s+", ""):gsub("%s+$", ""):gsub("\n", "\n    "))
end

local function message_of(message)
  if message == nil then return "nil error" end
  if type(message) == "string" then return message end
  local mt = getmetatable(message)
  if mt and mt.__tostring then return tostring(message) end
  if type(message) == "table" then return pretty.write(message) end
  return tostring(message)
end

local function place_of(element)
  local trace = element.trace
  if not trace or not trace.short_src then return "" end
  return ("%s:%d: "):format(trace.short_src, trace.currentline or 0)
end

return function()
  local handler = require "busted.outputHandlers.base"()

  local function print_failure(element, parent, message, debug)
    local it = handler.format(element, parent, message, debug)
    print(("not ok %s%s"):format(place_of(it.element), it.name))
    print("    " .. indent(message_of(it.message)))
    local traceback = type(debug) == "table" and debug.traceback
    if traceback then print("    " .. indent(traceback)) end
    io.flush()
    return nil, true
  end

  local function test_start(element)
    report("running " .. place_of(element) .. handler.getFullName(element))
    return nil, true
  end

  local function test_end(element, _, status)
    report("after " .. place_of(element) .. handler.getFullName(element))
    if status == "pending" then
      local it = handler.pendings[#handler.pendings]
      local reason = it and it.message and message_of(it.message)
      print("skip " .. handler.getFullName(element) ..
        (reason and ": " .. reason or ""))
    end
    return nil, true
  end

  local function suite_end()
    local failed = handler.failuresCount + handler.errorsCount
    report(("done %d %d %d"):format(handler.successesCount, failed,
      handler.pendingsCount))
    print(("specs: %d passed, %d failed, %d skipped in %.2f s"):format(
      handler.successesCount, failed, handler.pendingsCount,
      handler.getDuration()))
    io.flush()
    return nil, true
  end

  busted.subscribe({ "test", "start" }, test_start)
  busted.subscribe({ "test", "end" }, test_end)
  busted.subscribe({ "failure" }, print_failure)
  busted.subscribe({ "error" }, print_failure)
  busted.subscribe({ "suite", "end" }, suite_end)

  return handler
end
