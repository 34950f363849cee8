--- require: a module that awaits at top level, by two tasks at once.
-- SPDX-License-Identifier: MIT
return function(kit, proa)
  local name = "spec.fault.awaits"
  package.loaded[name], package.preload[name] = nil, function()
    proa.yield()
    return { "module" }
  end
  local other = proa.spawn(require, name)
  local module = require(name)
  kit.equal("module", module[1])
  kit.equal("module", other:await()[1])
  package.loaded[name], package.preload[name] = nil, nil
end
