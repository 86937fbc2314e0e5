-- Health of a SwarmCluster, a SwarmService, a SwarmStack and a SwarmWorkerPool for Argo CD, from the conditions that all kinds have: see docs/gitops.md.
local function condition(kind)
  if obj.status == nil or obj.status.conditions == nil then
    return nil
  end
  for _, found in ipairs(obj.status.conditions) do
    if found.type == kind then
      return found
    end
  end
  return nil
end

local function is(found, status)
  return found ~= nil and found.status == status
end

local function text(found)
  if found.message ~= nil and found.message ~= "" then
    return found.reason .. ": " .. found.message
  end
  return found.reason
end

local ready, stalled, paused, reconciling = condition("Ready"), condition("Stalled"), condition("Paused"), condition("Reconciling")

if ready == nil or obj.status.observedGeneration ~= obj.metadata.generation then
  return { status = "Progressing", message = "the operator has not looked at this generation yet" }
end
if is(stalled, "True") then
  return { status = "Degraded", message = text(stalled) }
end
if is(paused, "True") then
  return { status = "Suspended", message = text(paused) }
end
if is(ready, "True") then
  return { status = "Healthy", message = text(ready) }
end
if is(reconciling, "True") or is(ready, "Unknown") then
  return { status = "Progressing", message = text(ready) }
end
return { status = "Degraded", message = text(ready) }
