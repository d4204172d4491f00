-- WITH jobs, holds, sorts: choose the probe of a circuit breaker.

-- Return the rank of a job as a probe. Best is an untried job of an untried sort; otherwise the job tried longest ago.
local UNTRIED, BEST = 100, 103
local function rank(hold, job)
  local tried, sorts = hold.tried or {hold.job}, hold.sorts or {}
  local place = place_of(tried, job.id)
  if place then return #tried - place end
  local sort = sort_of(job)
  if sort == '' then return UNTRIED end
  return UNTRIED + (place_of(sorts, sort) and 0 or 2) + (sort == sorts[#sorts] and 0 or 1)
end

-- Choose the probe of a circuit breaker and remove it from its list. `files`: the files that can be sent now. Nil if no job is
-- ready.
local function choose_probe(hold, urgent_only, files)
  local best, rank_of_best, place = nil, -1, {}
  local function compare(job, ...)
    local its_rank = rank(hold, job)
    if its_rank > rank_of_best then best, rank_of_best, place = job, its_rank, {...} end
    return rank_of_best == BEST
  end
  look_at_ready(urgent_only, function(id, ...)
    local job = load(id)
    return job and job.state == 'queued' and compare(job, ...)
  end)
  for _, file in ipairs(files) do compare(file) end
  local turns, list, source, from = unpack(place)
  if list then
    redis.call('LREM', list, from, best.id)
    if redis.call('EXISTS', list) == 0 then redis.call('LREM', turns, 1, source) end
    best.popped = not best.fence -- a job that was claimed before may be in `again` too
  end
  return best
end
