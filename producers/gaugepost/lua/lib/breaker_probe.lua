-- Choose the probe of a circuit breaker.
-- WITH  jobs, bounded_list, ready_sample

-- Return the rank of a job as a probe. Best is an untried job of an untried sort; otherwise the job tried longest ago.
local UNTRIED, BEST = 100, 103
local function rank(hold, job)
  local tried, sorts = hold.tried or {hold.job}, hold.sorts or {}
  local last_try = index_of(tried, job.id)
  if last_try then return #tried - last_try end
  local sort = sort_of(job)
  if sort == '' then return UNTRIED end
  return UNTRIED + (index_of(sorts, sort) and 0 or 2) + (sort == sorts[#sorts] and 0 or 1)
end

-- Choose the probe of a circuit breaker and remove it from its list. `files`: the files that can be sent now. Nil if no job is
-- ready.
local function choose_probe(hold, urgent_only, files)
  local best, rank_of_best, found_in = nil, -1, {}
  local function compare(job, ...)
    local its_rank = rank(hold, job)
    if its_rank > rank_of_best then best, rank_of_best, found_in = job, its_rank, {...} end
    return rank_of_best == BEST
  end
  visit_ready(urgent_only, function(id, ...)
    local job = load(id)
    return job and job.state == 'queued' and compare(job, ...)
  end)
  for _, file in ipairs(files) do compare(file) end
  local turns, list, source, from = unpack(found_in)
  if list then
    redis.call('LREM', list, from, best.id)
    if redis.call('EXISTS', list) == 0 then redis.call('LREM', turns, 1, source) end
    best.popped = not best.fence -- a job that was claimed before may be in `again` too
  end
  return best
end
