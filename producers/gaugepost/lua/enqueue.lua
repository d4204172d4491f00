-- Store jobs, all or none: hash, idempotency key, lane, ready list and bell in one step, so that no stored job lacks a bell.
-- A repeated call with the same ids changes nothing.
-- WITH  new_jobs, arrivals, batch_arrivals
-- KEYS  prefix, queue, urgent queue
-- ARGV  backlog limit, limit of content bytes, life of an idempotency key in ms, '1' = store nothing if one job conflicts;
--       then for each job: id; JSON; kind and configuration ('' = its JSON is short: entry.py); a JSON object of texts ('' =
--       empty) with those it has of urgent ('1'), once ('1'), lane, idem (digest of its idempotency key), same (hashes of its
--       content, separated by blanks: encryption.py), expires (ms), due (ms: its deliver_at), source, batch and canary
--       (batch_arrivals.lua, if the call asks for one); content of a file ('' = none); its id as 16 bytes, then the hashes of
--       its references (lib/arrivals.lua)
-- RETURN for each job: state ('' = not stored), id of the earlier job with its idempotency key ('' = none), '1' if that job
--        has other content: a conflict; or an error BACKLOGFULL, CONTENTFULL or BATCHCONFLICT, and nothing is stored

local FIRST, PER = 5, 6
local states = {} -- id -> state of the jobs of this call

-- Return the earlier job with this key. sweep.lua deletes a job but leaves its state with the key.
local function first_with(digest)
  local kept = redis.call('GET', F.idem .. digest)
  if not kept then return nil end
  local id, state = string.match(kept, '^(.*):(%a+)$')
  id = id or kept
  states[id] = state or redis.call('HGET', F.job .. id, 'state')
  return states[id] and id
end

local NOTHING, facts, first, conflicts, by_digest, fresh, bytes = {}, {}, {}, {}, {}, 0, 0
local function first_hash(same) return string.match(same, '%S+') end
-- Return whether a job of this call is stored: then it is a repeated call.
local function is_repeated()
  local keys = {}
  for i = FIRST, #ARGV, PER do keys[#keys + 1] = F.job .. ARGV[i] end
  return redis.call('EXISTS', unpack(keys)) > 0
end

-- Return whether the earlier job of a key has other content. False if it has no hash, or only one by an unknown DATA_KEY.
local function sends_other(id)
  local new, earlier = facts[id], facts[first[id]]
  local kept = earlier and earlier.same and first_hash(earlier.same) or redis.call('GET', F.idem_content .. new.idem)
  for one in string.gmatch(kept and new.same or '', '%S+') do
    if string.sub(one, 1, 9) == string.sub(kept, 1, 9) then return one ~= kept end
  end
  return false
end

local repeated = is_repeated()
for i = FIRST, #ARGV, PER do
  local id = ARGV[i]
  facts[id] = ARGV[i + 3] ~= '' and cjson.decode(ARGV[i + 3]) or NOTHING
  local digest = facts[id].idem
  states[id] = repeated and redis.call('HGET', F.job .. id, 'state') or nil
  first[id] = states[id] and id or digest and (by_digest[digest] or first_with(digest))
  if not first[id] then
    first[id], fresh, bytes = id, fresh + 1, bytes + #ARGV[i + 4]
    if digest then by_digest[digest] = id end
  elseif first[id] ~= id then
    conflicts[id] = sends_other(id) or nil
  end
end
local refused = ARGV[4] == '1' and next(conflicts)
local refusal = not refused and (limit_error(fresh, ARGV[1], bytes, ARGV[2]) or not repeated and canaries_error(facts))
if refusal then return redis.error_reply(refusal) end
local OPTIONAL = {'urgent', 'once', 'lane', 'idem', 'expires', 'due'}

-- Store a job and return its state.
local function accept(id, json, about, its, content, references)
  local at = next_stamp()
  local ahead = ms_until(its.due)
  local scope = its.batch and join_batch(id, its.batch, its.canary)
  local state = ahead > 0 and schedule_new(id, at, its) or scope and not its.lane and hold_new(id, at, scope)
    or place_new(id, at, its.lane, its.urgent, its.source)
  local key = F.job .. id
  local fields, n = {'job', json, 'state', state, 'at', at}, 6
  if about ~= '' then fields[7], fields[8], n = 'about', about, 8 end
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
  if its.batch then tally_new(id, its.batch, state) end
  return state
end

local receipts = {}
for i = FIRST, #ARGV, PER do
  local id = first[ARGV[i]]
  if not (states[id] or refused) then states[id] = accept(id, ARGV[i + 1], ARGV[i + 2], facts[id], ARGV[i + 4], ARGV[i + 5]) end
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
