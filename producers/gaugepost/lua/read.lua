-- Read jobs whole, with the region's holds, which tell why and until when queued and held jobs wait.
-- KEYS  prefix
-- ARGV  ids
-- RETURN the holds as a flat list, then for each id its hash as a flat list (empty: unknown id)

local out = {redis.call('HGETALL', K.holds)}
for _, id in ipairs(ARGV) do out[#out + 1] = redis.call('HGETALL', F.job .. id) end
return out
