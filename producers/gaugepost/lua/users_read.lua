-- Read the users of the console.
-- KEYS  prefix
-- RETURN a list of name, JSON, …

return redis.call('HGETALL', K.console_users)
