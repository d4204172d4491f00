-- The index by which `find` finds jobs. It has keyed hashes of values (encryption.py), never values.
-- `ids:<first 4 digits of an id>` is a hash: the rest of the id (14 bytes) -> stamp and hashes, as in an arrival. With it a
--   job leaves the index even if its record is gone.
-- `keyed:<first 2 letters>` is a list of the hashes of idempotency keys: the other letters, then the id.
-- `ref:<hash>` is a list of the jobs of one reference (reference_lists.lua).
-- `indexing` has the number of jobs in the index, and where workers look for jobs that it lacks (unindexed.lua).
-- WITH  arrivals, reference_lists

local HASH, ID = 11, 16 -- bytes of a hash and of an id

-- The entry of a job: its key and its field.
local function entry_of(bytes)
  return F.ids .. string.format('%02x%02x', string.byte(bytes, 1, 2)), string.sub(bytes, 3)
end

-- Call each(hash) for the hashes of a job but that of its idempotency key; return that one, nil if there is none.
local function split_hashes(hashes, each)
  local key = string.sub(hashes, 1, 1) ~= '.' and string.sub(hashes, 1, HASH) or nil
  for i = key and HASH + 1 or 2, #hashes, HASH do each(string.sub(hashes, i, i + HASH - 1)) end
  return key
end

local indexed = 0

-- Write what was gathered and counted. Call it at the end of the script.
local function flush_index()
  write_gathered()
  if indexed ~= 0 then redis.call('HINCRBY', K.indexing, 'indexed', whole(indexed)) end
  indexed = 0
end

-- Index a job, unless it is in the index.
local function index_job(stamp, bytes, hashes)
  local entry, field = entry_of(bytes)
  if redis.call('HSETNX', entry, field, stamp .. hashes) == 0 then return end
  local both, at = stamp .. bytes, unpack_stamp(stamp)
  local key = split_hashes(hashes, function(hash) gather(hash, both, at) end)
  if key then redis.call('RPUSH', F.keyed .. string.sub(key, 1, 2), string.sub(key, 3) .. bytes) end
  indexed = indexed + 1
end

-- Add a reference to a job in the index.
local function index_reference(bytes, hash)
  local entry, field = entry_of(bytes)
  local found = redis.call('HGET', entry, field)
  if not found or string.find(found, hash, 1, true) then return end
  redis.call('HSET', entry, field, found .. hash)
  gather(hash, string.sub(found, 1, STAMP) .. bytes, unpack_stamp(found))
end

-- Take a job out of the index. Return its stamp there, which stays when a scheduled job gets another one.
local function forget_references(id)
  local bytes = to_bytes(id)
  local entry, field = entry_of(bytes)
  local found = redis.call('HGET', entry, field)
  if not found then return end
  redis.call('HDEL', entry, field)
  local both, at = string.sub(found, 1, STAMP) .. bytes, whole(unpack_stamp(found))
  local key = split_hashes(string.sub(found, STAMP + 1), function(hash) remove_reference(hash, both, at) end)
  if key then redis.call('LREM', F.keyed .. string.sub(key, 1, 2), 1, string.sub(key, 3) .. bytes) end
  indexed = indexed - 1
  return string.sub(found, 1, STAMP)
end

-- Return how many jobs of the region are not in the index: arrivals, and jobs of older versions. Negative: it has jobs that
-- an older version deleted.
local STATES = {'queued', 'waiting', 'sending', 'parked', 'delivered', 'dead', 'unknown', 'cancelled', 'expired'}
local function unindexed()
  local jobs = 0
  for _, number in ipairs(redis.call('HMGET', K.counts, unpack(STATES))) do jobs = jobs + (tonumber(number or 0)) end
  return jobs - (tonumber(redis.call('HGET', K.indexing, 'indexed') or 0))
end
