-- Revoke a key of the gateway in this region. Gateways read the keys twice a second, so the key ends within a second.
-- KEYS  prefix
-- ARGV  name
-- RETURN 1; 0 if there is no key of this name

redis.call('HDEL', K.api_key_uses, ARGV[1])
return redis.call('HDEL', K.api_keys, ARGV[1])
