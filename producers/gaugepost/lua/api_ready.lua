-- Try whether Redis accepts writes that need memory, for the gateway's /readyz.
-- KEYS  prefix
-- RETURN 1; an error if Redis has no memory left, is a read-only replica or cannot write to its disk

redis.call('SET', K.gateway, whole(now))
return 1
