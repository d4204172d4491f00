-- List the jobs that have one of some references, newest first. The caller merges the lists and reads the jobs.
-- WITH  index
-- KEYS  prefix
-- ARGV  how many of each at most, newest stamp, oldest stamp; then what to look for: 'ref ' .. hash, 'key ' .. hash of an
--       idempotency key, or 'id ' .. first four digits of ids
-- RETURN number of jobs that are not in the index yet; then for each a flat list of stamps and ids (16 bytes, after 'id': the
--        last 14): at least as many, and of 'key' and 'id' all. The caller chooses between them

local most, newest, oldest = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])

local function take(out, list)
  local all = redis.call('LRANGE', list, 0, -1)
  for i = #all, 1, -1 do
    local at = unpack_stamp(all[i])
    if at >= oldest and at <= newest then
      out[#out + 1] = whole(at)
      out[#out + 1] = string.sub(all[i], STAMP + 1)
    end
  end
end

local function with_reference(hash)
  local out = {}
  take(out, F.ref .. hash)
  local first = chunk_of(hash, whole(newest))
  while first and #out / 2 < most do
    take(out, F.ref .. hash .. '.' .. first)
    first = tonumber(first) > oldest and chunk_of(hash, '(' .. first)
  end
  return out
end

local function with_key(hash)
  local out, rest = {}, string.sub(hash, 3)
  for _, entry in ipairs(redis.call('LRANGE', F.keyed .. string.sub(hash, 1, 2), 0, -1)) do
    if string.sub(entry, 1, #rest) == rest then
      local bytes = string.sub(entry, #rest + 1)
      local found = redis.call('HGET', entry_of(bytes))
      out[#out + 1] = found and whole(unpack_stamp(found)) or '0'
      out[#out + 1] = bytes
    end
  end
  return out
end

local function with_id(digits)
  local out, found = {}, redis.call('HGETALL', F.ids .. digits)
  for i = 1, #found, 2 do
    out[#out + 1] = whole(unpack_stamp(found[i + 1]))
    out[#out + 1] = found[i]
  end
  return out
end

local by = {ref = with_reference, key = with_key, id = with_id}
local odd = tonumber(redis.call('HGET', K.indexing, 'odd') or '0')
local out = {math.max(0, unindexed() - odd)}
for i = 4, #ARGV do
  local sort, value = string.match(ARGV[i], '^(%l+) (.*)$')
  out[#out + 1] = by[sort](value)
end
return out
