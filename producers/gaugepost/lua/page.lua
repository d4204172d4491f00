-- List the ids of a state that are ordered by time, the latest first.
-- KEYS  prefix
-- ARGV  state, latest time, earliest time, how many to skip, how many at most
-- RETURN a flat list of ids and times

return redis.call('ZREVRANGEBYSCORE', K[ARGV[1]], ARGV[2], ARGV[3], 'WITHSCORES', 'LIMIT', ARGV[4], ARGV[5])
