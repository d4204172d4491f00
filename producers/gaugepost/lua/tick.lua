-- Record that beat ticks, and push a tick unless the queue has enough: Celery's `expires` does not stop ticks from piling up
-- when no worker reads them. A script, so that several beats respect the same limit, and so that it works when Redis is out
-- of memory.
-- WITH  bells
-- KEYS  prefix, queue of ticks
-- ARGV  how many ticks the queue may have, name of the tick's Celery task
-- RETURN 1 if the tick was pushed, else 0

allow_oom()
redis.call('HSET', K.pace, 'beat_sent', whole(now)) -- for alive.lua
if redis.call('LLEN', KEYS[2]) >= tonumber(ARGV[1]) then return 0 end
push_bell(KEYS[2], ARGV[2])
return 1
