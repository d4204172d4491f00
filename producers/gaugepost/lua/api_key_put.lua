-- Store a new key of the gateway in this region. Its name must be free.
-- KEYS  prefix
-- ARGV  name; JSON: hash of the secret, scopes, source, expiry, rate …
-- RETURN 1; 0 if another key has the name. A repeated call returns 1, because the hash of the secret is the same

allow_oom()
if redis.call('HSETNX', K.api_keys, ARGV[1], ARGV[2]) == 1 then return 1 end
return redis.call('HGET', K.api_keys, ARGV[1]) == ARGV[2] and 1 or 0
