-- Find the jobs of an enqueue that are stored already: by its idempotency key, or because the call is repeated. enqueue.lua names
-- the arguments.

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

-- Find for each job of the call the first job with its key: itself, one of this call, or an earlier one. Return whether the call
-- is repeated.
local function find_first()
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
  return repeated
end
