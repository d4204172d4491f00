-- Note that beat ticks, and push a tick, unless its queue holds enough already: Celery's expiry would not keep ticks from
-- piling up where no worker reads them. A script, so that beats do not count past each other, and so that a Redis short of
-- memory takes it.
-- KEYS  prefix, queue of ticks
-- ARGV  how many the queue may hold, name of the tick's task
-- RETURN 1 if it was pushed, else 0

even_when_full()
redis.call('HSET', K.pace, 'beat_sent', whole(now)) -- for alive.lua
if redis.call('LLEN', KEYS[2]) >= tonumber(ARGV[1]) then return 0 end
push_bell(KEYS[2], ARGV[2])
return 1
