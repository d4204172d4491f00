-- Add jobs and references to `arrivals`, from where workers bring them into the index of `find` (arrive.lua).
-- A job's script writes nothing more for `find`, so that enqueue and settle stay as fast as without an index.
-- An arrival is the job's stamp (7 bytes), its id (16 bytes), the hash of its idempotency key ('.' = none), its other hashes;
-- or '*' and the hash of one more reference of an earlier arrival.

local high, high_bytes -- of the last stamp, because the stamps of one call are close to each other
local function pack_stamp(at)
  local this = math.floor(at / 16777216)
  if this ~= high then
    local top = math.floor(this / 65536)
    high_bytes = string.char(math.floor(top / 256), top % 256, math.floor(this / 256) % 256, this % 256)
    high = this
  end
  local low = at - high * 16777216
  return high_bytes .. string.char(math.floor(low / 65536), math.floor(low / 256) % 256, low % 256)
end

local function to_bytes(id)
  return (string.gsub(id, '%x%x', function(digits) return string.char(tonumber(digits, 16)) end))
end

local arrivals = {}
local function arrive(at, id_and_hashes) arrivals[#arrivals + 1] = pack_stamp(at) .. id_and_hashes end

local function flush_arrivals()
  for i = 1, #arrivals, 1000 do redis.call('RPUSH', K.arrivals, unpack(arrivals, i, math.min(i + 999, #arrivals))) end
  arrivals = {}
end
