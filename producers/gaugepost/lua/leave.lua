-- Record that a worker has ended, so that it counts as missing at once, not 30 s later. A repeated call changes nothing.
-- WITH  presence
-- KEYS  prefix
-- ARGV  worker
-- RETURN nothing

allow_oom()

redis.call('HDEL', K.workers, ARGV[1])
redis.call('ZADD', K.alive, 'XX', whole(now - ABSENT_MS), ARGV[1])
