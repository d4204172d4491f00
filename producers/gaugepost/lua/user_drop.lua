-- Remove a user of the console from this region, and end the sessions and one-time links of the user.
-- WITH  sessions
-- KEYS  prefix
-- ARGV  name, the longest life of a session in ms, hash of the name
-- RETURN 1; 0 if there is no user of this name

allow_oom()
end_sessions(ARGV[3], ARGV[2])
return redis.call('HDEL', K.console_users, ARGV[1])
