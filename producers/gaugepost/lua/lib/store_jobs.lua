-- Store jobs, all or none: hash, idempotency key, lane, ready list and bell. enqueue.lua names the arguments.
-- WITH  idempotency, new_jobs, arrivals

local OPTIONAL = {'urgent', 'once', 'lane', 'idem', 'expires', 'due'}

-- Store a job and return its state.
local function accept(batches, id, json, about, its, content, references)
  local at = next_stamp()
  local ahead = ms_until(its.due)
  local scope = its.batch and batches.join(id, its.batch, its.canary)
  local state = ahead > 0 and schedule_new(id, at, its) or scope and not its.lane and hold_new(id, at, scope)
    or place_new(id, at, its.lane, its.urgent, its.source)
  local key = F.job .. id
  local fields, n = {'job', json, 'state', state, 'at', at}, 6
  if about ~= '' then fields[7], fields[8], fields[9], fields[10], n = 'about', about, 'source', its.source or '', 10 end
  if its ~= NOTHING then
    for _, name in ipairs(OPTIONAL) do
      if its[name] then fields[n + 1], fields[n + 2], n = name, its[name], n + 2 end
    end
    if its.idem then
      local life = whole(ARGV[3] + ahead) -- the key outlives deliver_at
      redis.call('SET', F.idem .. its.idem, id, 'PX', life)
      if its.same then redis.call('SET', F.idem_content .. its.idem, first_hash(its.same), 'PX', life) end
    end
    if its.expires then redis.call('ZADD', K.deadlines, its.expires, id) end
  end
  redis.call('HSET', key, unpack(fields, 1, n))
  if content ~= '' then store_content(id, content) end
  arrive(at, references)
  count(state, 1)
  if its.batch then batches.tally(id, its.batch, state) end
  return state
end

-- Store the jobs of the call. `batches`: what batch_arrivals.lua does with those of a batch; nil if the call has none.
local function store_jobs(batches)
  local repeated = find_first()
  local refused = ARGV[4] == '1' and next(conflicts)
  local refusal = not refused
    and (limit_error(fresh, ARGV[1], bytes, ARGV[2]) or batches and not repeated and batches.refusal(facts))
  if refusal then return redis.error_reply(refusal) end
  local receipts = {}
  for i = FIRST, #ARGV, PER do
    local id = first[ARGV[i]]
    if not (states[id] or refused) then
      states[id] = accept(batches, id, ARGV[i + 1], ARGV[i + 2], facts[id], ARGV[i + 4], ARGV[i + 5])
    end
    receipts[#receipts + 1] = states[id] or ''
    receipts[#receipts + 1] = id ~= ARGV[i] and id or ''
    receipts[#receipts + 1] = conflicts[ARGV[i]] and '1' or ''
  end
  if fresh > 0 and not refused then
    local jobs, urgent = write_ready()
    flush_arrivals()
    flush_new()
    ring(KEYS[3], urgent)
    if not awake() then ring(KEYS[2], jobs > 0 and jobs or ready_jobs()) end
    if bytes > 0 then ring(KEYS[2], 1) end -- for a file: the slot may be open
  end
  return receipts
end
