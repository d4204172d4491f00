-- Read the keys of the gateway, and note which of them were used.
-- KEYS  prefix
-- ARGV  names of keys that were used since the last call
-- RETURN the time in ms; a list of name, JSON, …; a list of name, time of its last use in ms, …

for _, name in ipairs(ARGV) do
  if redis.call('HEXISTS', K.api_keys, name) == 1 then redis.call('HSET', K.api_key_uses, name, whole(now)) end
end
return {now, redis.call('HGETALL', K.api_keys), redis.call('HGETALL', K.api_key_uses)}
