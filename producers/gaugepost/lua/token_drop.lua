-- Drop the shared token that was refused, for everyone, unless a newer one has come meanwhile (compare and delete).
-- KEYS  prefix
-- ARGV  generation of the token that was refused
-- RETURN 1 if it was dropped

if redis.call('HGET', K.token, 'generation') ~= ARGV[1] then return 0 end
return redis.call('HDEL', K.token, 'sealed', 'expires', 'refresh', 'fetched', 'credential') > 0 and 1 or 0
