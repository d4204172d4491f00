-- End a session of the console.
-- KEYS  prefix
-- ARGV  hash of the session's id
-- RETURN 1; 0 if there is no such session

return redis.call('DEL', F.session .. ARGV[1])
