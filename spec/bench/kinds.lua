--- kinds.lua: what is measured, and the columns of each table.
--
-- A kind has a title, `measure(contender)` that gives one run (a table of
-- numbers) or nil and why, `head` and `row(runs, reference)` for its table.
-- Every run is a process of its own, started by build/bench/load, which also
-- checks the answers. See README.md for what the columns mean.
-- SPDX-License-Identifier: MIT

local figures = require "figures"
local machine = require "machine"
local shell = require "shell"

local TASK_LIMIT = 60 -- seconds
local SPARE_FILES = 200

--- "result a=1 b=c" as a table; nil and the text when it is none.
local function result_of(output)
  local words = output:match "result ([^\n]*)\n?$"
  if not words then return nil, output end
  local run = {}
  for name, value in words:gmatch "(%S+)=(%S+)" do
    run[name] = tonumber(value) or value
  end
  return run
end

-- Runs the load generator; options is a list of words.
local function load(options, command)
  local cores = machine.cores()
  local words = { machine.build .. "/load" }
  if #cores >= 2 then
    words = { words[1], "--server-core", cores[1], "--load-core", cores[2] }
  end
  table.move(options, 1, #options, #words + 1, words)
  words[#words + 1] = "--"
  table.move(command, 1, #command, #words + 1, words)
  local output, ok = shell.run(words)
  if not ok then return nil, output end
  return result_of(output)
end

-- -- load: echo, pipelined, large, churn --

local load_head = { "", "requests/s", "ratio", "p50 us", "p99 us", "max us",
  "cpu s/M", "ratio (of the rounds)", "busy", "load", "other", "MiB" }

local function load_row(runs, reference)
  local function middle(format, name, divisor)
    return format:format(figures.median(runs, name) / (divisor or 1))
  end
  return {
    middle("%.0f", "rate"),
    figures.ratio_text(runs, reference, "rate"),
    middle("%.0f", "p50_us"),
    middle("%.0f", "p99_us"),
    ("%.0f"):format(figures.highest(runs, "max_us")),
    middle("%.2f", "cpu_s_per_million"),
    figures.ratio_text(runs, reference, "cpu_s_per_million", true),
    middle("%.2f", "server_busy"),
    middle("%.2f", "load_busy"),
    ("%.2f"):format(math.max(0, figures.highest(runs, "other"))),
    middle("%.1f", "peak_kib", 1024),
  }
end

local function load_kind(title, kind, size, depth)
  return function(option)
    local words = { "--kind", kind, "--conns", option.CONNS, "--size", size,
      "--depth", depth, "--seconds", option.SECONDS,
      "--warm", math.min(0.5, math.max(0.1, option.SECONDS / 5)) }
    return {
      title = title:format(option.CONNS),
      sockets = true,
      head = load_head,
      row = load_row,
      measure = function(contender) return load(words, contender.echo) end,
    }
  end
end

-- -- idle connections --

local idle_head = { "", "bytes/connection", "ratio", "MiB before", "MiB after",
  "cpu us/connection" }

local function idle_row(runs, reference)
  return {
    ("%.0f"):format(figures.median(runs, "bytes_per_conn")),
    figures.ratio_text(runs, reference, "bytes_per_conn"),
    ("%.1f"):format(figures.median(runs, "before_kib") / 1024),
    ("%.1f"):format(figures.median(runs, "rss_kib") / 1024),
    ("%.1f"):format(figures.median(runs, "cpu_us_per_conn")),
  }
end

local function idle_kind(option)
  local n = math.min(option.IDLE, machine.files() - SPARE_FILES)
  local less = n < option.IDLE and
    (" (%d wanted, the limit of open files is %d)"):format(option.IDLE,
      machine.files()) or ""
  return {
    title = ("idle: %d connections that said something once%s"):format(n, less),
    sockets = true,
    head = idle_head,
    row = idle_row,
    measure = function(contender)
      return load({ "--kind", "idle", "--conns", n }, contender.echo)
    end,
  }
end

-- -- tasks --

local task_kinds = { "spawn", "yield", "sleep", "idle" }

local function measure_tasks(contender, n)
  local run = {}
  for _, kind in ipairs(task_kinds) do
    local command = table.move(contender.tasks, 1, #contender.tasks, 1, {})
    command[#command + 1] = kind
    command[#command + 1] = n
    local one, why = load({ "--kind", "run", "--seconds", TASK_LIMIT }, command)
    if not one then return nil, why end
    if not (one.cpu_us_per_task and one.bytes_per_task) then
      return nil, "it printed no figures"
    end
    run[kind] = one.cpu_us_per_task
    run.bytes = one.bytes_per_task
  end
  return run
end

local function tasks_row(runs, reference)
  local cells = {}
  for _, kind in ipairs(task_kinds) do
    cells[#cells + 1] = ("%.2f"):format(figures.median(runs, kind))
    cells[#cells + 1] = figures.ratio_text(runs, reference, kind)
  end
  cells[#cells + 1] = ("%.0f"):format(figures.median(runs, "bytes"))
  cells[#cells + 1] = figures.ratio_text(runs, reference, "bytes")
  return cells
end

local function tasks_kind(option)
  return {
    title = ("tasks: %d of them, CPU us each; spawned, ten yields, a sleep of "
      .. "0 to 10 ms, left waiting"):format(option.TASKS),
    head = { "", "spawn", "ratio", "yield", "ratio", "sleep", "ratio", "idle",
      "ratio", "bytes", "ratio" },
    row = tasks_row,
    measure = function(contender)
      return measure_tasks(contender, option.TASKS)
    end,
  }
end

--- In the order of the tables. Each takes the options and gives a kind.
return {
  { "echo", load_kind("echo: %d connections, 64 bytes, 1 under way on each",
    "echo", 64, 1) },
  { "pipelined", load_kind(
    "pipelined: %d connections, 64 bytes, 16 under way on each",
    "echo", 64, 16) },
  { "large", load_kind("large: %d connections, 16 KiB, 1 under way on each",
    "echo", 16384, 1) },
  { "churn", load_kind("churn: %d at a time connect, exchange 64 bytes, close",
    "churn", 64, 1) },
  { "idle", idle_kind },
  { "tasks", tasks_kind },
}
