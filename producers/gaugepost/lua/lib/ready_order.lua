-- The order in which ready jobs are claimed: urgent jobs, then requeued jobs (`again`), then new jobs. Sources take turns.

-- Lists whose next job must wait for older jobs of its configuration, which were deferred: list -> true.
local blocked = {}

-- Return the source whose turn it is. Skip a source whose list is blocked.
local function next_source(turns, list)
  for _ = 1, 100 do
    local source = redis.call('LINDEX', turns, 0)
    if not source or not blocked[list .. source] then return source end
    redis.call('LMOVE', turns, turns, 'LEFT', 'RIGHT')
  end
end

-- Pop the next ids of the source whose turn it is: its share of n, so that each claim has jobs of all sources. At most 20,
-- because ids beyond the budget must be requeued. Return the ids and where they were; nil if no source has a turn.
local function take_turn(turns, list, n)
  local source = next_source(turns, list)
  if not source then return nil end
  local share = math.min(math.ceil(n / redis.call('LLEN', turns)), 20)
  local ids = redis.call('LPOP', list .. source, share)
  if redis.call('EXISTS', list .. source) == 1 then
    redis.call('LMOVE', turns, turns, 'LEFT', 'RIGHT')
  else
    redis.call('LPOP', turns)
  end
  return ids or {}, {turns = turns, list = list, source = source}
end

-- Pop the first ids of `again`.
local function pop_again(n)
  local popped, ids = redis.call('ZPOPMIN', K.again, n), {}
  for i = 1, #popped, 2 do ids[#ids + 1] = popped[i] end
  return ids
end

-- Pop at most n ids of ready jobs. `requeued.left`: how many more requeued jobs this claim takes while new ones are ready.
local function next_ids(n, urgent_only, requeued)
  local ids, from = take_turn(K.urgent_turns, F.urgent, n)
  if ids then return ids, from end
  local urgent = redis.call('ZCOUNT', K.again, '-inf', '(0')
  if urgent > 0 then return pop_again(math.min(n, urgent)) end
  if urgent_only then return {} end
  local again = redis.call('ZCARD', K.again)
  if again > 0 and requeued.left > 0 then
    again = math.min(again, requeued.left, n)
    requeued.left = requeued.left - again
    return pop_again(again)
  end
  ids, from = take_turn(K.turns, F.ready, n)
  return ids or pop_again(n), from
end
