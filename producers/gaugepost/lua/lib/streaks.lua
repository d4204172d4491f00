-- Streaks: count failures in a row, and open a hold when there are enough (a circuit breaker).
-- One job that always fails, or one event that fails many requests at once, must not stop the region. So a streak counts a
-- request only if it began after the previous failure was recorded, and opens its hold only when enough jobs of enough
-- sorts have failed.
-- WITH  jobs, automatic_holds, failed_requests, bounded_list, ready_sample

local STREAKS, STREAK_MS = 200, 3600000

-- Return whether a bounded read finds a job of another sort than `sorts` that is being sent or ready.
local function others_in_work(sorts)
  local found = false
  local function visit(id)
    local job = load(id)
    if job and (job.state == 'sending' or job.state == 'queued') then
      local sort = sort_of(job)
      found = sort ~= '' and not index_of(sorts, sort)
    end
    return found
  end
  for _, id in ipairs(redis.call('ZRANGE', K.leases, 0, 2 * ENDS - 1)) do
    if visit(id) then return true end
  end
  visit_ready(false, visit)
  return found
end

-- Delete streaks that are an hour old. The streak of a configuration that gets no new jobs would never end otherwise.
local function forget_old_streaks()
  local all = redis.call('HGETALL', K.failures)
  for i = 1, #all, 2 do
    if now - cjson.decode(all[i + 1]).known > STREAK_MS then redis.call('HDEL', K.failures, all[i]) end
  end
  if redis.call('HLEN', K.failures) >= STREAKS then redis.call('DEL', K.failures) end
end

-- Count the failure of a request that began `age_ms` ago. Return true when the streak is complete; that ends the streak.
-- `streak` has name, limit, jobs, sorts, apart (count only requests that began after the previous failure was recorded) and
-- hold, which gets the requests that opened it. The row in Redis is {n, known, jobs, sorts, opened}; older versions write it
-- without `opened`.
local function count_failure(streak, age_ms, job, sort, request)
  local text = redis.call('HGET', K.failures, streak.name)
  if not text and redis.call('HLEN', K.failures) >= STREAKS then forget_old_streaks() end
  local row = text and cjson.decode(text) or {n = 0, known = 0, jobs = {}, sorts = {}}
  row.opened = row.opened or {failures = row.n}
  if streak.apart and row.known <= now and now - age_ms <= row.known then
    row.opened.beside = (row.opened.beside or 0) + 1
    redis.call('HSET', K.failures, streak.name, cjson.encode(row))
    return false
  end
  row.n, row.known = row.n + 1, now
  add_request(row.opened, request)
  remember(row.jobs, job.id, streak.jobs)
  remember(row.sorts, sort, streak.sorts)
  local complete = row.n >= streak.limit and #row.jobs >= streak.jobs
    and (#row.sorts >= streak.sorts or not others_in_work(row.sorts))
  if not complete then
    redis.call('HSET', K.failures, streak.name, cjson.encode(row))
    return false
  end
  redis.call('HDEL', K.failures, streak.name)
  streak.hold.tried, streak.hold.sorts, streak.hold.opened = row.jobs, row.sorts, row.opened
  return true
end

-- End the streaks that an answer ends, and count its failure. Do not count it under an open hold: such requests began before it
-- opened, or are its probes.
local any_streak = redis.call('HLEN', K.failures) > 0
local function update_streaks(outcome, job)
  if any_streak and outcome.ends then redis.call('HDEL', K.failures, unpack(outcome.ends)) end
  local streak = outcome.streak
  if not streak or redis.call('HEXISTS', K.holds, streak.hold.scope) == 1 then return end
  any_streak = true
  if count_failure(streak, outcome.age_ms or 0, job, outcome.sort, outcome.request) then
    open_hold(streak.hold, job, streak.hold.opened)
  end
end
