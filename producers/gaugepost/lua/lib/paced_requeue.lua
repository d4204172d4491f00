-- Requeue jobs that are due and jobs of lifted holds, at a rate that Redis' clock limits, so that any number of beats may
-- tick.
-- WITH  jobs, transitions, release

-- Return how many jobs the rate allows since the last call, at most `most`, and whether the rate allows more than that.
local function allowance(name, rate, most)
  local last = tonumber(redis.call('HGET', K.pace, name) or '0')
  local since = last > now and now or math.max(last, now - 1000) -- the clock stepped back: start again
  local n = math.floor((now - since) * rate / 1000)
  local more = n > most
  if more then n = most end
  if n > 0 or last > now then redis.call('HSET', K.pace, name, whole(more and since + n * 1000 / rate or now)) end
  return n, more
end

local function first_due(set, n)
  return redis.call('ZRANGEBYSCORE', set, '-inf', whole(now), 'WITHSCORES', 'LIMIT', 0, n)
end

local function retry(id)
  local job = load(id)
  if not job or not requeue(job) then redis.call('ZREM', K.parked, id) end
end

-- Requeue jobs that are due, in the order of their times: those that wait for their next attempt, and scheduled ones. Return
-- how many, and whether more are due that the rate allows.
local function requeue_due(rate, most)
  local n, more = allowance('due', rate, most)
  if n == 0 then return 0, false end
  local parked, scheduled, p, s = first_due(K.parked, n), first_due(K.scheduled, n), 1, 1
  local function time(found, i) return tonumber(found[i + 1] or '') or math.huge end
  local function requeued() return (p + s) / 2 - 1 end
  while requeued() < n and (parked[p] or scheduled[s]) do
    if time(parked, p) <= time(scheduled, s) then
      retry(parked[p])
      p = p + 2
    else
      release_member(scheduled[s])
      s = s + 2
    end
  end
  write_ready()
  return requeued(), more and requeued() == n
end

-- Requeue jobs of lifted holds. Return how many.
local function requeue_released(rate)
  local n, released = allowance('released', rate, math.huge), 0
  for _, scope in ipairs(redis.call('SRANDMEMBER', K.releasing, 100)) do -- all of them, unless there are more than 100
    local ids = n > released and redis.call('ZRANGE', F.held .. scope, 0, n - released - 1) or {}
    for _, id in ipairs(ids) do
      local job = load(id)
      if job and requeue(job) then
        redis.call('HDEL', job.key, 'give_up') -- under the next hold the time to give up starts again
      else
        redis.call('ZREM', F.held .. scope, id)
      end
    end
    released = released + #ids
    if redis.call('EXISTS', F.held .. scope) == 0 then redis.call('SREM', K.releasing, scope) end
  end
  return released
end
