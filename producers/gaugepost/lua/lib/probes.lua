-- WITH jobs, holds, sorts: which job tests whether a breaker may be lifted.

-- The better a job tests the breaker, the higher: a job that was not tried yet, of a sort that was not; else the job that
-- was tried longest ago.
local UNTRIED, BEST = 100, 103
local function rank(hold, job)
  local tried, sorts = hold.tried or {hold.job}, hold.sorts or {}
  local place = place_of(tried, job.id)
  if place then return #tried - place end
  local sort = sort_of(job)
  if sort == '' then return UNTRIED end
  return UNTRIED + (place_of(sorts, sort) and 0 or 2) + (sort == sorts[#sorts] and 0 or 1)
end

-- The job that is to probe a breaker, taken out of its list; `files` are those that may go now. Nil if none is ready.
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
  local turns, line, source, from = unpack(place)
  if line then
    redis.call('LREM', line, from, best.id)
    if redis.call('EXISTS', line) == 0 then redis.call('LREM', turns, 1, source) end
    best.popped = not best.fence -- one that was out before may lie in `again` too
  end
  return best
end
