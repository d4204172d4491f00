-- The lists of stamps and ids by reference: `ref:<hash>`, oldest first. A long list is renamed to
-- `ref:<hash>.<its first stamp>`, which `ref_chunks:<hash>` has. So each list stays short: Redis stores it in one piece.

local STAMP, CHUNK = 7, 100 -- bytes of a stamp; jobs of a list that is renamed

local function unpack_stamp(text)
  local at = 0
  for i = 1, STAMP do at = at * 256 + string.byte(text, i) end
  return at
end

-- Return the first stamp of the renamed list for a stamp; nil if there is none.
local function chunk_of(hash, at)
  return redis.call('ZREVRANGEBYSCORE', F.ref_chunks .. hash, at, '-inf', 'LIMIT', 0, 1)[1]
end

local function stamp_at(list, index)
  local found = redis.call('LINDEX', list, index)
  return found and unpack_stamp(found)
end

local function newest_of(hash)
  local at = stamp_at(F.ref .. hash, -1)
  local first = not at and chunk_of(hash, '+inf')
  return at or first and stamp_at(F.ref .. hash .. '.' .. first, -1) or 0
end

local function seal(hash)
  local first = whole(stamp_at(F.ref .. hash, 0))
  redis.call('RENAME', F.ref .. hash, F.ref .. hash .. '.' .. first)
  redis.call('ZADD', F.ref_chunks .. hash, first, first)
end

local function insert(list, both, at)
  local last = stamp_at(list, -1)
  if not last or last <= at then return redis.call('RPUSH', list, both) end
  local all = redis.call('LRANGE', list, 0, -1)
  for i = #all, 1, -1 do
    if unpack_stamp(all[i]) <= at then return redis.call('LINSERT', list, 'AFTER', all[i], both) end
  end
  return redis.call('LPUSH', list, both)
end

local function split(hash, first)
  local list = F.ref .. hash .. '.' .. first
  local upper = redis.call('LRANGE', list, CHUNK, -1)
  local middle = whole(unpack_stamp(upper[1]))
  redis.call('LTRIM', list, 0, CHUNK - 1)
  redis.call('RPUSH', F.ref .. hash .. '.' .. middle, unpack(upper))
  redis.call('ZADD', F.ref_chunks .. hash, middle, middle)
end

-- Add a job that is not the newest one, to the list that has the stamps around its own.
local function add_older(hash, both, at)
  local oldest = stamp_at(F.ref .. hash, 0)
  if redis.call('EXISTS', F.ref_chunks .. hash) == 0 or oldest and oldest <= at then
    if insert(F.ref .. hash, both, at) >= CHUNK then seal(hash) end
    return
  end
  local first = chunk_of(hash, whole(at))
  if not first then
    first = whole(at)
    redis.call('ZADD', F.ref_chunks .. hash, first, first)
  end
  if insert(F.ref .. hash .. '.' .. first, both, at) >= 3 * CHUNK then split(hash, first) end
end

-- The stamps and ids of a script are gathered by hash, because many jobs have the same label.
local gathered = {}
local function gather(hash, both, at)
  local list = gathered[hash]
  if not list then
    list = {first = at, last = at}
    gathered[hash], gathered[#gathered + 1] = list, hash
  end
  list.in_order = list.in_order ~= false and at >= list.last
  list[#list + 1], list.last = both, at
end

-- Write what was gathered.
local function write_gathered()
  for _, hash in ipairs(gathered) do
    local list = gathered[hash]
    if list.in_order and list.first >= newest_of(hash) then
      if redis.call('RPUSH', F.ref .. hash, unpack(list)) >= CHUNK then seal(hash) end
    else
      for _, both in ipairs(list) do add_older(hash, both, unpack_stamp(both)) end
    end
  end
  gathered = {}
end

local function remove_reference(hash, both, at)
  if redis.call('LREM', F.ref .. hash, 1, both) == 1 then return end
  local first = chunk_of(hash, at)
  if not first then return end
  local list = F.ref .. hash .. '.' .. first
  redis.call('LREM', list, 1, both)
  if redis.call('EXISTS', list) == 0 then redis.call('ZREM', F.ref_chunks .. hash, first) end
end
