-- Share a fetched token and let the others go on. Only by the one who holds the lock: an answer that comes later than the
-- lock lasted is not shared, nor is one beside a token of another credential that still lasts. It lifts the hold that failed
-- requests for a token opened.
-- WITH  jobs, holds, credentials
-- KEYS  prefix
-- ARGV  who fetched, sealed token, life in ms, ms until an early refresh, fingerprint of the credential
-- RETURN the token's generation, '0' if it was not shared

if redis.call('GET', K.token_lock) ~= ARGV[1] then return '0' end
redis.call('DEL', K.token_lock)
forget_token_failures()
local hold = get_hold(NEEDS_TOKEN)
if hold and hold.token then lift(NEEDS_TOKEN, 'a token came') end
if token_is_anothers(ARGV[5]) then return '0' end
local generation = redis.call('HINCRBY', K.token, 'generation', 1)
-- Whose age `fetched` tells stands in it: an older version leaves that of the last token behind.
redis.call('HSET', K.token, 'sealed', ARGV[2], 'expires', whole(now + ARGV[3]), 'refresh', whole(now + ARGV[4]),
  'fetched', whole(generation) .. ':' .. whole(now), 'credential', ARGV[5])
return whole(generation)
