-- Store a fetched token for all workers, and lift the hold that failed requests for a token opened. Only the owner of the lock
-- may call this: a token that comes too late is not stored. It is not stored either while the token of another credential
-- lasts.
-- WITH  holds, credentials
-- KEYS  prefix
-- ARGV  id of the caller, encrypted token, life in ms, ms until an early refresh, fingerprint of the credential
-- RETURN the token's generation; '0' if it was not stored

if redis.call('GET', K.token_lock) ~= ARGV[1] then return '0' end
redis.call('DEL', K.token_lock)
forget_token_failures()
local hold = get_hold(NEEDS_TOKEN)
if hold and hold.token then lift_hold(NEEDS_TOKEN, 'a token came') end
if token_is_of_other(ARGV[5]) then return '0' end
local generation = redis.call('HINCRBY', K.token, 'generation', 1)
-- `fetched` contains the generation, because an older version does not update it when it stores a token.
redis.call('HSET', K.token, 'sealed', ARGV[2], 'expires', whole(now + ARGV[3]), 'refresh', whole(now + ARGV[4]),
  'fetched', whole(generation) .. ':' .. whole(now), 'credential', ARGV[5])
return whole(generation)
