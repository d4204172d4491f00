-- Delete a refused shared token, unless a newer one is stored (compare and delete).
-- KEYS  prefix
-- ARGV  generation of the refused token
-- RETURN 1 if it was deleted, else 0

if redis.call('HGET', K.token, 'generation') ~= ARGV[1] then return 0 end
return redis.call('HDEL', K.token, 'sealed', 'expires', 'refresh', 'fetched', 'credential') > 0 and 1 or 0
