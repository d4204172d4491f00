-- Bring a ledger that an older version wrote, or still writes, to what this one reads, in steps; then put the schema on it.
-- Its queued jobs lay in one list, not in one for each source: they come again, in the order enqueued. Its streaks of
-- failures opened holds by another rule: they are forgotten.
-- WITH  jobs
-- KEYS  prefix, queue, urgent queue, then what older versions write: lists of urgent and of other queued jobs, streaks
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

redis.call('DEL', KEYS[6])
local moved = take_over(KEYS[4]) + take_over(KEYS[5])
if moved > 0 then
  ring_for_ready()
elseif schema < KNOWS.schema then
  redis.call('SET', K.schema, KNOWS.schema)
end
return moved
