-- Accept jobs: hash, idempotency key, lane, ready list and bell at once, so that there is no moment in which a
-- job exists and nobody will look. All of them or none. Repeated with the same ids it changes nothing.
-- KEYS  prefix, queue, urgent queue
-- ARGV  backlog limit, life of an idempotency key in ms, bell, urgent bell; then for each job
--       id, JSON, urgent ('1'), once ('1'), lane, idempotency digest, expires_at in ms, content ('' = none)
-- RETURN for each job: id, state, '1' if it was there before; or the error BACKLOGFULL and nothing stored

local PER = 8
local known, fresh = {}, 0
for i = 5, #ARGV, PER do
  local digest = ARGV[i + 5]
  local id = digest ~= '' and redis.call('GET', K.idem .. digest) or ARGV[i]
  local state = redis.call('HGET', K.job .. id, 'state')
  if state then known[ARGV[i]] = {id, state} else fresh = fresh + 1 end
end

local backlog = 0
for _, state in ipairs({'queued', 'waiting', 'parked'}) do
  backlog = backlog + tonumber(redis.call('HGET', K.counts, state) or '0')
end
if fresh > 0 and backlog + fresh > tonumber(ARGV[1]) then
  return redis.error_reply('BACKLOGFULL ' .. whole(backlog) .. ' jobs are waiting')
end

local stamp = math.max(clock[1] * 1000000 + clock[2], tonumber(redis.call('GET', K.stamp) or '0') + 1)

-- Where a job starts: behind the others of its lane, or ready.
local function place(id, at, lane, urgent)
  if lane == 'files' then
    redis.call('ZADD', K.files, at, id)
  elseif lane ~= '' then
    redis.call('ZADD', K.lane .. lane, at, id)
    if redis.call('ZCARD', K.lane .. lane) == 1 then lane = '' end
  end
  if lane ~= '' then
    redis.call('ZADD', K.waiting, at, id)
    return 'waiting'
  end
  redis.call('RPUSH', urgent == '1' and K.urgent or K.ready, id)
  return 'queued'
end

local function accept(id, json, urgent, once, lane, digest, expires, content)
  local at = whole(stamp)
  stamp = stamp + 1
  local state = place(id, at, lane, urgent)
  local key = K.job .. id
  redis.call('HSET', key, 'job', json, 'state', state, 'at', at)
  if urgent == '1' then redis.call('HSET', key, 'urgent', '1') end
  if once == '1' then redis.call('HSET', key, 'once', '1') end
  if lane ~= '' then redis.call('HSET', key, 'lane', lane) end
  if digest ~= '' then redis.call('SET', K.idem .. digest, id, 'PX', ARGV[2]) end
  if content ~= '' then redis.call('SET', K.content .. id, content) end
  if expires ~= '' then
    redis.call('HSET', key, 'expires', expires)
    redis.call('ZADD', K.deadlines, expires, id)
  end
  count(state, 1)
  return state
end

local receipts = {}
for i = 5, #ARGV, PER do
  local id, before = ARGV[i], known[ARGV[i]]
  local digest = ARGV[i + 5]
  if not before and digest ~= '' then -- the same key twice in one call
    local first = redis.call('GET', K.idem .. digest)
    local state = first and redis.call('HGET', K.job .. first, 'state')
    before = state and {first, state}
  end
  local state = before and before[2] or accept(id, unpack(ARGV, i + 1, i + PER - 1))
  receipts[#receipts + 1] = before and before[1] or id
  receipts[#receipts + 1] = state
  receipts[#receipts + 1] = (before and before[1] ~= id) and '1' or ''
end
if fresh > 0 then
  redis.call('SET', K.stamp, whole(stamp - 1))
  flush()
  ring_for_ready(ARGV[3], ARGV[4])
  if redis.call('ZCARD', K.files) > 0 then ring(KEYS[2], ARGV[3], 1) end
end
return receipts
