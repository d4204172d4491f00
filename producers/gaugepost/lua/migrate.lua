-- Bring a ledger that an older version wrote, or still writes, to what this one reads, in steps; then put the schema on it.
-- Its queued jobs lay in one list, not in one for each source: they come again, in the order enqueued. Its streaks of
-- failures opened holds by another rule: they are forgotten.
-- WITH  jobs
-- Older versions write `urgent` and `ready`, lists of queued jobs, and `streaks`. What is new under the default namespace
-- is closed to versions that do not know namespaces: they would begin a ledger of their own, which no worker sees.
-- KEYS  prefix, queue, urgent queue
-- ARGV  how many of each list a call may move
-- RETURN how many it moved; more may be there until it is 0. Repeated, it goes on where it was

even_when_full()

local function take_over(line)
  local ids = redis.call('LPOP', line, ARGV[1]) or {}
  for _, id in ipairs(ids) do
    local job = load(id)
    if job and job.state == 'queued' then come_again(job) end
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
