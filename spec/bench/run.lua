--- run.lua: the benchmark; `make bench`, or: lua5.4 spec/bench/run.lua
--
--   [KIND=echo,large] [NAMES=reference,proa-uring] [ROUNDS=3] [SECONDS=1]
--   [CONNS=64] [IDLE=10000] [TASKS=100000] [SERVER=command]
--
-- Starts every contender anew for every round, in turns, so that what the
-- machine does meanwhile meets all of them; prints a table for each kind. The
-- status is 1 if a contender failed or answered a wrong byte, 2 if it was
-- called wrongly. See README.md; read next: kinds.lua, contenders.lua.
-- SPDX-License-Identifier: MIT

local here = arg[0]:match "^(.*)/" or "."
package.path = here .. "/?.lua;" .. package.path
local contenders = require "contenders"
local figures = require "figures"
local kinds = require "kinds"
local machine = require "machine"

local FAILURE_LINES = 6

local option = { KIND = "", NAMES = "", ROUNDS = 3, SECONDS = 1, CONNS = 64,
  IDLE = 10000, TASKS = 100000, SERVER = "" }

local function misuse(format, ...)
  io.stderr:write("bench: ", format:format(...), "\n")
  os.exit(2)
end

local function read_options()
if option.SERVER ~= "" then
  contenders[#contenders + 1] = contenders.server(option.SERVER)
end
  for _, word in ipairs(arg) do
    local name, value = word:match "^(%u+)=(.*)$"
    local default = option[name]
    if not default then misuse("no such option: %s", word) end
    if value ~= "" and type(default) == "number" then
      local number = tonumber(value)
      local whole = math.tointeger(number)
      if not number or number <= 0 or not (whole or name == "SECONDS") then
        misuse("%s takes a number, not %s", name, value)
      end
      option[name] = whole or number
    elseif value ~= "" then
      option[name] = value
    end
  end
end

--- The entries of a list whose names are in "a,b"; all for "".
local function chosen(list, names, name_of)
  if names == "" then return list end
  local picked, known = {}, {}
  for _, entry in ipairs(list) do known[name_of(entry)] = entry end
  for name in names:gmatch "[^,]+" do
    if not known[name] then misuse("there is no %s", name) end
    picked[#picked + 1] = known[name]
  end
  return picked
end

--- Those who can take part; the others with what they lack, as rows.
local function present(kind, list, refused)
  local here_now, lacking = {}, {}
  for _, contender in ipairs(list) do
    local missing = contender.missing { refused = refused,
      sockets = kind.sockets }
    if missing then
      lacking[#lacking + 1] = { contender.name, note = "left out: " .. missing }
    else
      here_now[#here_now + 1] = contender
    end
  end
  return here_now, lacking
end

--- Runs by contender, a list each; and why by contender that failed.
local function measure(kind, list)
  local runs, failed = {}, {}
  for _, contender in ipairs(list) do runs[contender] = {} end
  for _ = 1, option.ROUNDS do
    for _, contender in ipairs(list) do
      if not failed[contender] then
        local run, why = kind.measure(contender)
        table.insert(runs[contender], run)
        failed[contender] = not run and why or nil
      end
    end
  end
  return runs, failed
end

-- The beginning of what it said, below the row.
local function failure(why)
  local lines, count = {}, 0
  for line in why:gsub("^failed ", ""):gmatch "[^\n]+" do
    count = count + 1
    if count <= FAILURE_LINES then lines[count] = line end
  end
  return "FAILED: " .. table.concat(lines, "\n      ")
end

local function row_of(kind, contender, runs, reference, failed)
  if failed then return { contender.name, note = failure(failed) } end
  return { contender.name, table.unpack(kind.row(runs, reference)) }
end

--- Prints one table. Returns whether one failed, the most that others used,
-- and how many took part.
local function bench(kind, list, refused)
  local here_now, rows = present(kind, list, refused)
  local runs, failed = measure(kind, here_now)
  local first = contenders[1]
  local reference = not failed[first] and runs[first] or nil
  local others = 0
  for i, contender in ipairs(here_now) do
    local own = runs[contender]
    table.insert(rows, i, row_of(kind, contender, own, reference,
      failed[contender]))
    if own[1] and own[1].other then
      others = math.max(others, figures.highest(own, "other"))
    end
  end
  table.insert(rows, 1, kind.head)
  figures.print(kind.title, rows)
  return next(failed) ~= nil, others, #here_now
end

read_options()
if option.SERVER ~= "" then
  contenders[#contenders + 1] = contenders.server(option.SERVER)
end
local picked_kinds = chosen(kinds, option.KIND, function(e) return e[1] end)
local list = chosen(contenders, option.NAMES, function(e) return e.name end)
local refused = machine.uring_refused()
machine.describe(refused)
print(("rounds    %d of %g s, in turns; medians over the rounds"):format(
  option.ROUNDS, option.SECONDS))

local any_failed, most, measured = false, 0, 0
for _, entry in ipairs(picked_kinds) do
  local failed, others, number = bench(entry[2](option), list, refused)
  any_failed = any_failed or failed
  most = math.max(most, others)
  measured = measured + number
end
print ""
machine.warn_others(most)
if any_failed then
  io.stderr:write "bench: a contender failed, see the tables\n"
elseif measured == 0 then
  io.stderr:write "bench: nothing was measured, see the tables\n"
end
os.exit(not any_failed and measured > 0)
