-- Accept jobs: hash, idempotency key, lane, ready list and bell at once, so that there is no moment in which a
-- job exists and nobody will look. All of them or none. Repeated with the same ids it changes nothing.
-- KEYS  prefix, queue, urgent queue
-- ARGV  backlog limit, limit of content bytes, life of an idempotency key in ms, bell, urgent bell; then for each job
--       id, JSON, urgent ('1'), once ('1'), lane, idempotency digest, expires_at in ms, content ('' = none), source
-- RETURN for each job: id, state, '1' if it was there before; or an error BACKLOGFULL or CONTENTFULL, and nothing stored

local PER = 9
local states = {} -- id -> state, of the jobs this call is about

-- The job that has this key already. One that sweep.lua forgot has left its state with the key.
local function first_with(digest)
  local kept = digest ~= '' and redis.call('GET', F.idem .. digest)
  if not kept then return nil end
  local id, state = string.match(kept, '^(.*):(%a+)$')
  id = id or kept
  states[id] = state or redis.call('HGET', F.job .. id, 'state')
  return states[id] and id
end

local first, by_digest, fresh = {}, {}, 0
for i = 6, #ARGV, PER do
  local id, digest = ARGV[i], ARGV[i + 5]
  states[id] = redis.call('HGET', F.job .. id, 'state') or nil -- there: this call is a repeated one
  first[id] = states[id] and id or by_digest[digest] or first_with(digest)
  if not first[id] then
    first[id], fresh = id, fresh + 1
    if digest ~= '' then by_digest[digest] = id end
  end
end

local bytes = 0
for i = 6, #ARGV, PER do
  if first[ARGV[i]] == ARGV[i] and not states[ARGV[i]] then bytes = bytes + #ARGV[i + 7] end
end
local refusal = no_room(fresh, ARGV[1], bytes, ARGV[2])
if refusal then return redis.error_reply(refusal) end

local function accept(id, json, urgent, once, lane, digest, expires, content, source)
  local at = next_stamp()
  local state = place(id, at, lane, urgent, source)
  local key = F.job .. id
  redis.call('HSET', key, 'job', json, 'state', state, 'at', at)
  if urgent == '1' then redis.call('HSET', key, 'urgent', '1') end
  if once == '1' then redis.call('HSET', key, 'once', '1') end
  if lane ~= '' then redis.call('HSET', key, 'lane', lane) end
  if digest ~= '' then
    redis.call('SET', F.idem .. digest, id, 'PX', ARGV[3])
    redis.call('HSET', key, 'idem', digest)
  end
  if content ~= '' then store_content(id, content) end
  if expires ~= '' then
    redis.call('HSET', key, 'expires', expires)
    redis.call('ZADD', K.deadlines, expires, id)
  end
  count(state, 1)
  return state
end

local receipts = {}
for i = 6, #ARGV, PER do
  local id = first[ARGV[i]]
  if not states[id] then states[id] = accept(unpack(ARGV, i, i + PER - 1)) end
  receipts[#receipts + 1] = id
  receipts[#receipts + 1] = states[id]
  receipts[#receipts + 1] = id ~= ARGV[i] and '1' or ''
end
if fresh > 0 then
  line_up()
  flush()
  ring_unless_awake(ARGV[4], ARGV[5])
  if bytes > 0 then ring(KEYS[2], ARGV[4], one) end -- a file, for which the slot may be open
end
return receipts
