-- Add new jobs to their batches. The first jobs of a batch are the members of its canary, if it has one.
-- WITH  batch_members

local open = {} -- batch -> what this script knows about it

-- Return a batch; nil if it is new.
local function read_batch(batch)
  if open[batch] then return open[batch] end
  local row = redis.call('HMGET', F.batch .. batch, 'started', 'canary', 'tolerance', 'canary_state', 'canary_reason')
  if not row[1] then return nil end
  local members = row[4] == 'running' and redis.call('HLEN', F.canary .. batch) or 0
  open[batch] = {size = row[2] or nil, tolerance = row[3] or nil, state = row[4] or nil, reason = row[5] or nil, members = members}
  return open[batch]
end

-- What a call asks for is `size:tolerance`, and `:first` if these are its first jobs for the region.
local function read_asked(asked) return string.match(asked or '', '^(%d+):([^:]+)(:?)') end

-- Return the error if a batch has another canary than a call asks for, or if it is decided when the call begins: then all jobs
-- of the call would be sent at once. nil if it fits.
local function canary_error(batch, asked)
  local found = asked and read_batch(batch)
  if not found then return nil end
  local size, tolerance, first = read_asked(asked)
  if found.size == size and found.tolerance == tolerance then
    local decided = first == ':' and ({passed = 'has passed', resumed = 'was resumed'})[found.state]
    return decided and 'BATCHCONFLICT batch ' .. batch .. ' has begun, and its canary ' .. decided
      .. ': enqueue more under the name alone (--batch ' .. batch .. ' without --canary), or choose another name'
  end
  local has = found.size and 'a canary of ' .. found.size .. ' with tolerance ' .. found.tolerance or 'no canary'
  return 'BATCHCONFLICT batch ' .. batch .. ' has begun with ' .. has
end

local function canaries_error(facts)
  for _, its in pairs(facts) do
    local found = its.batch and canary_error(its.batch, its.canary)
    if found then return found end
  end
end

local function start_batch(batch, asked)
  local size, tolerance = read_asked(asked)
  open[batch] = {size = size, tolerance = tolerance, state = size and 'running', members = 0}
  redis.call('HSET', F.batch .. batch, 'started', whole(now))
  if not size then return end
  redis.call('HSET', F.batch .. batch, 'canary', size, 'tolerance', tolerance, 'canary_state', 'running')
  redis.call('SADD', K.canaries, batch)
end

-- Add a new job to its batch. Return the scope of the hold under which it waits; nil if it does not wait for a canary.
local function join_batch(id, batch, asked)
  if not read_batch(batch) then start_batch(batch, asked) end
  local found = open[batch]
  if found.state == 'running' and found.members < tonumber(found.size) then
    found.members = found.members + 1
    redis.call('HSET', F.canary .. batch, id, '')
    redis.call('HSET', F.job .. id, 'canary', '1')
    return nil
  end
  if found.state ~= 'running' and found.state ~= 'held' then return nil end
  if not found.holds then
    open_batch_hold(batch, found.reason or 'canary: the first ' .. found.size .. ' jobs of the batch have not all ended')
    found.holds = true
  end
  return scope_of(batch)
end
