-- Migrate what an older version wrote, or still writes, in steps; then write the schema.
-- Older versions have one list of queued jobs (`urgent`, `ready`), not one for each source: these jobs are requeued in the
-- order of their stamps. Their `streaks` opened holds by another rule: they are deleted. A new ledger in the default
-- namespace is closed to versions without namespaces, which would start a second ledger that no worker reads.
-- WITH  transitions, bells
-- KEYS  prefix, queue, urgent queue
-- ARGV  how many jobs of each list a call may migrate
-- RETURN how many jobs it migrated; 0 when none is left. A repeated call continues

allow_oom()

local function take_over(list)
  local ids = redis.call('LPOP', list, ARGV[1]) or {}
  for _, id in ipairs(ids) do
    local job = load(id)
    if job and job.state == 'queued' then add_to_again(job) end
  end
  return #ids
end

redis.call('DEL', PREFIX .. 'streaks')
local moved = take_over(PREFIX .. 'urgent') + take_over(PREFIX .. 'ready')
if moved > 0 then
  ring_for_ready()
elseif schema < KNOWS.schema then
  redis.call('SET', K.schema, KNOWS.schema)
  if PREFIX ~= older() then redis.call('SET', older() .. 'schema', 'moved ' .. KNOWS.schema) end
end
return moved
