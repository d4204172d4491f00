-- List jobs that are not in the index, which older versions stored, for the worker of a tick: only it can compute the hashes.
-- A pass looks at all lists of jobs, a bounded number of ids in each call; then at the index, where it removes jobs that an
-- older version has deleted. A job that moves meanwhile may be missed, so passes are repeated while the numbers differ.
-- WITH  jobs, index
-- KEYS  prefix
-- ARGV  how many ids at most, how many buckets of the index at most
-- RETURN 1 if a pass goes on, else 0; then for each job: id, JSON, result ('' = none)

local BUCKETS = 65536
local pass = {}
for _, name in ipairs({'place', 'from', 'found', 'odd'}) do
  pass[name] = tonumber(redis.call('HGET', K.indexing, name) or '0')
end
-- The jobs of arrivals are not missing. An arrival whose job is gone counts too, which a pass corrects.
local function missing() return unindexed() - redis.call('LLEN', K.arrivals) end
if missing() == pass.odd then return {0} end

allow_oom()
local out, left = {1}, tonumber(ARGV[1])

local function lists()
  local names = {}
  local function add(family, members)
    for _, member in ipairs(members) do names[#names + 1] = family .. member end
  end
  local cold = {}
  for i, configuration in ipairs(redis.call('HKEYS', K.cold)) do cold[i] = '~' .. configuration end
  add(F.urgent, redis.call('LRANGE', K.urgent_turns, 0, -1))
  add(F.ready, redis.call('LRANGE', K.turns, 0, -1))
  add(F.urgent, cold)
  add(F.ready, cold)
  add(F.held, redis.call('HKEYS', K.holds))
  add(F.held, redis.call('SMEMBERS', K.releasing))
  add(PREFIX, {'urgent', 'ready'}) -- versions with one list for all sources
  add('', {K.scheduled})
  for _, key in ipairs({K.again, K.waiting, K.parked, K.leases, K.unknown, K.delivered, K.dead, K.cancelled, K.expired}) do
    names[#names + 1] = key
  end
  return names
end

local function look_at(member)
  local id = string.sub(member, -32) -- of `scheduled`: stamp:id
  local entry, field = entry_of(to_bytes(id))
  if redis.call('HEXISTS', entry, field) == 1 then return end
  local found = redis.call('HMGET', F.job .. id, 'job', 'result')
  if not found[1] then return end -- a list may have ids of cancelled jobs
  spend(found[1])
  for _, value in ipairs({id, found[1], found[2] or ''}) do out[#out + 1] = value end
  pass.found = pass.found + 1
end

local function look_at_list(name)
  local asked, last = left, pass.from + left - 1
  local is_list = redis.call('TYPE', name).ok == 'list'
  local ids = is_list and redis.call('LRANGE', name, pass.from, last) or redis.call('ZRANGE', name, pass.from, last)
  for i, id in ipairs(ids) do
    if budget <= 0 then return end
    look_at(id)
    pass.from, left = pass.from + 1, left - 1
  end
  if #ids < asked then pass.place, pass.from, left = pass.place + 1, 0, left - 1 end -- a short list counts as an id
end

local function clean(bucket)
  local digits = string.format('%04x', bucket)
  for _, field in ipairs(redis.call('HKEYS', F.ids .. digits)) do
    local id = digits .. string.format(string.rep('%02x', #field), string.byte(field, 1, #field))
    if redis.call('EXISTS', F.job .. id) == 0 then
      forget_references(id)
      pass.found = pass.found + 1
    end
  end
end

-- Look at some buckets of the index. The pass ends after the last one; if it found nothing, the numbers differ for another
-- reason, and there is no other pass until they change.
local function clean_some()
  local last = math.min(pass.from + ARGV[2], BUCKETS)
  for bucket = pass.from, last - 1 do clean(bucket) end
  pass.from = last
  if last < BUCKETS then return end
  flush_index()
  if pass.found == 0 then pass.odd = missing() end
  pass.place, pass.from, pass.found = 0, 0, 0
end

local CLEANING = -1
if pass.place ~= CLEANING then
  local names = lists()
  while pass.place < #names and left > 0 and budget > 0 do look_at_list(names[pass.place + 1]) end
  if pass.place >= #names then
    pass.place, pass.from, pass.found = pass.found == 0 and CLEANING or 0, 0, 0
  end
else
  clean_some()
end
for name, value in pairs(pass) do redis.call('HSET', K.indexing, name, whole(value)) end
flush_index()
return out
