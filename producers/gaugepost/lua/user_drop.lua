-- Remove a user of the console from this region, and end the sessions of the user.
-- KEYS  prefix
-- ARGV  name, the longest life of a session in ms
-- RETURN 1; 0 if there is no user of this name

redis.call('SET', F.signed_out .. ARGV[1], whole(now), 'PX', ARGV[2])
return redis.call('HDEL', K.console_users, ARGV[1])
