--- figures.lua: medians over the rounds, and tables of them.
--
-- A run is a table of numbers by name; a contender has one for each round. A
-- ratio is that of a contender's run to the reference's run in the same round,
-- so that what changes slowly on the machine cancels out.
-- SPDX-License-Identifier: MIT

local figures = {}

--- The middle one; of an even number the mean of the two in the middle.
local function median(list)
  local sorted = table.move(list, 1, #list, 1, {})
  table.sort(sorted)
  local n = #sorted
  return (sorted[(n + 1) // 2] + sorted[n // 2 + 1]) / 2
end

local function column(runs, name)
  local list = {}
  for i, run in ipairs(runs) do list[i] = run[name] end
  return list
end

--- The median over the runs of what they call `name`.
function figures.median(runs, name) return median(column(runs, name)) end

--- The highest over the runs.
function figures.highest(runs, name)
  return math.max(table.unpack(column(runs, name)))
end

--- Median, lowest and highest ratio; nil without a reference.
function figures.ratio(runs, reference, name)
  if not reference then return nil end
  local list = {}
  for i = 1, math.min(#runs, #reference) do
    if reference[i][name] > 0 then
      list[#list + 1] = runs[i][name] / reference[i][name]
    end
  end
  if #list == 0 then return nil end
  return median(list), math.min(table.unpack(list)),
    math.max(table.unpack(list))
end

--- "1.23", or "1.23 (1.20..1.31)" where rounds can differ; "-" without one.
function figures.ratio_text(runs, reference, name, spread)
  local middle, low, high = figures.ratio(runs, reference, name)
  if not middle then return "-" end
  if not spread or #runs < 2 then return ("%.2f"):format(middle) end
  return ("%.2f (%.2f..%.2f)"):format(middle, low, high)
end

local function widths(rows)
  local wide = {}
  for _, row in ipairs(rows) do
    for i, cell in ipairs(row) do wide[i] = math.max(wide[i] or 0, #cell) end
  end
  return wide
end

--- Print rows of texts; the first column to the left, the others to the right.
-- What follows a row's last cell, `row.note`, is as long as it likes.
function figures.print(title, rows)
  local wide = widths(rows)
  print("\n" .. title)
  for _, row in ipairs(rows) do
    local cells = {}
    for i, cell in ipairs(row) do
      cells[i] = (i == 1 and "%-" or "%") .. wide[i] .. "s"
      cells[i] = cells[i]:format(cell)
    end
    cells[#cells + 1] = row.note
    print("  " .. (table.concat(cells, "  "):gsub("%s+$", "")))
  end
  io.flush()
end

return figures
