-- Share what a fetch brought, a token or its failure, and let the others go on. Only by the one who holds the lock: an
-- answer that comes later than the lock lasted is not shared.
-- KEYS  prefix
-- ARGV  who fetched, sealed token ('' = it failed), life in ms, ms until an early refresh, failure, its life in ms
-- RETURN the token's generation, '0' if it was not shared

if redis.call('GET', K.token_lock) ~= ARGV[1] then return '0' end
redis.call('DEL', K.token_lock)
if ARGV[2] == '' then
  redis.call('HSET', K.token, 'failure', ARGV[5], 'failed_until', whole(now + ARGV[6]))
  return '0'
end
local generation = redis.call('HINCRBY', K.token, 'generation', 1)
-- Whose age `fetched` tells stands in it: an older version leaves that of the last token behind.
redis.call('HSET', K.token, 'sealed', ARGV[2], 'expires', whole(now + ARGV[3]), 'refresh', whole(now + ARGV[4]),
  'fetched', whole(generation) .. ':' .. whole(now))
redis.call('HDEL', K.token, 'failure', 'failed_until')
return whole(generation)
