-- Bring a ledger that an older version wrote, or still writes, to what this one reads, in steps; then put the schema on it.
-- Its queued jobs lay in one list, not in one for each source: they come again, in the order enqueued. Its streaks of
-- failures opened holds by another rule: they are forgotten.
-- WITH  jobs
-- KEYS  prefix, queue, urgent queue, then what older versions write: lists of urgent and of other queued jobs, streaks
-- ARGV  how many of each list a call may move
-- RETURN how many it moved; more may be there until it is 0. Repeated, it goes on where it was

even_when_full()

local function come_again(line)
  local ids = redis.call('LPOP', line, ARGV[1]) or {}
  for _, id in ipairs(ids) do
    local job = load(id)
    if job and job.state == 'queued' then
      redis.call('ZADD', K.again, job.urgent and whole(job.at - 1e16) or job.at, id)
    end
  end
  return #ids
end

redis.call('DEL', KEYS[6])
local moved = come_again(KEYS[4]) + come_again(KEYS[5])
if moved > 0 then
  ring_for_ready()
elseif schema < KNOWS.schema then
  redis.call('SET', K.schema, KNOWS.schema)
end
return moved
