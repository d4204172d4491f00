-- Note that a worker has ended, so that it counts as absent from now on and not only 30 seconds later. It may be repeated.
-- WITH  presence
-- KEYS  prefix
-- ARGV  worker
-- RETURN nothing

even_when_full()

redis.call('HDEL', K.workers, ARGV[1])
redis.call('ZADD', K.alive, 'XX', whole(now - ABSENT_MS), ARGV[1])
