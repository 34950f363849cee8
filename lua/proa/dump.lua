--- dump: the tasks that live, as a table for people.
-- Made from core.tasks' records. Of tasks that do the same at the same line,
-- and were spawned at the same, one stands for all. Text that peers had a hand
-- in comes with its control characters escaped.
-- SPDX-License-Identifier: MIT

local core = require "proa.core"
local misuse = require "proa.misuse"

local dump = {}

local ALIKE_MIN = 3 -- tasks that are shown as one
local INDENT = "    "

local function escaped(text)
  return (text:gsub("%c", function(c) return ("\\x%02x"):format(c:byte()) end))
end

--- "0.25 s", "17 s", "5 min", "3.2 h", "12 d"
local function duration(seconds)
  if not seconds then return "" end
  if seconds < 10 then return ("%.2f s"):format(seconds) end
  if seconds < 120 then return ("%.0f s"):format(seconds) end
  if seconds < 7200 then return ("%.0f min"):format(seconds / 60) end
  if seconds < 172800 then return ("%.1f h"):format(seconds / 3600) end
  return ("%.0f d"):format(seconds / 86400)
end

--- What tells tasks apart that are shown one by one.
local function kind_of(record)
  return table.concat({ record.status, record.op or "", record.at or "",
    record.spawned or "", tostring(record.background) }, "\n")
end

--- Lists of records that are alike, in order of the first of each.
local function grouped(records)
  local groups, by_kind = {}, {}
  for _, record in ipairs(records) do
    local kind = kind_of(record)
    local group = by_kind[kind]
    if not group then
      group = {}
      by_kind[kind], groups[#groups + 1] = group, group
    end
    group[#group + 1] = record
  end
  local out = {}
  for _, group in ipairs(groups) do
    if #group >= ALIKE_MIN then
      out[#out + 1] = group
    else
      for _, record in ipairs(group) do out[#out + 1] = { record } end
    end
  end
  table.sort(out, function(a, b) return a[1].id < b[1].id end)
  return out
end

local function title(record)
  if record.id == 0 then return "main chunk" end
  local text = "#" .. record.id
  if record.name then text = ("%s %q"):format(text, escaped(record.name)) end
  return record.background and text .. " (background)" or text
end

local function subject(record)
  if record.status ~= "waiting" then return "" end
  local text = record.op .. (record.on and " " .. record.on or "")
  if not record.left then return text end
  return ("%s, %s left"):format(text, duration(record.left))
end

--- The cells of a row. Of many the ends are named, the oldest is shown.
local function row_of(group)
  local record, n = group[1], #group
  local name, what = title(record), subject(record)
  if n > 1 then
    name = ("#%d to #%d"):format(record.id, group[n].id)
    what = ("%s (the oldest of %d)"):format(what, n)
  end
  return { name, record.status, duration(record.age), duration(record.waited),
    what }
end

local function widths(rows)
  local width = {}
  for _, row in ipairs(rows) do
    for i = 1, #row - 1 do
      width[i] = math.max(width[i] or 0, utf8.len(row[i]) or #row[i])
    end
  end
  return width
end

local function line(row, width)
  local cells = {}
  for i = 1, #row do
    local missing = (width[i] or 0) - (utf8.len(row[i]) or #row[i])
    cells[i] = row[i] .. (" "):rep(missing)
  end
  return (table.concat(cells, "  "):gsub(" +$", ""))
end

--- The lines of a traceback below its task.
local function add_traceback(out, text)
  for frame in (text or ""):gmatch "[^\n]+" do
    frame = frame:gsub("^%s+", "")
    if frame ~= "stack traceback:" then out[#out + 1] = INDENT .. escaped(frame) end
  end
end

local function counted(n, what)
  return ("%d %s%s"):format(n, what, n == 1 and "" or "s")
end

local function summary(stats, n)
  return ("proa: %s, %s in flight, %s, %s"):format(counted(n, "task"),
    counted(stats.ops_in_flight, "operation"), counted(stats.streams, "stream"),
    counted(stats.deadlines, "deadline"))
end

--- The table, with a newline at its end.
---@return string
function dump.text()
  local records = core.tasks_bare()
  local out = { summary(core.stats(), #records) }
  table.insert(records, 1, core.main_record())
  local groups, rows = grouped(records), {
    { "task", "status", "age", "for", "waits for" } }
  for i, group in ipairs(groups) do rows[i + 1] = row_of(group) end
  local width = widths(rows)
  out[2] = line(rows[1], width)
  for i, group in ipairs(groups) do
    out[#out + 1] = line(rows[i + 1], width)
    local record = group[1]
    add_traceback(out, record.traceback
      or record.task and record.task:traceback())
  end
  return table.concat(out, "\n") .. "\n"
end

--- Print it.
---@param file? { write: function } default: io.stderr
function dump.print(file)
  if file ~= nil and type(file) ~= "table" and type(file) ~= "userdata" then
    misuse("dump: a file expected, got %s", type(file))
  end
  (file or io.stderr):write(dump.text())
end

core.dumper(function() dump.print() end)

return dump
