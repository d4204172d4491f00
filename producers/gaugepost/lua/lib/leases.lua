-- Leases end by Redis' clock, and that clock may step.
-- The clock steps when it is set, or when a replica with another clock becomes the master. After a step forward, or after a
-- time in which Redis was down, leases of live workers have ended too. Ticks read the clock every second. If it moved by more
-- than a third of a lease between two reads, each lease that had ended by then is extended once, by half a lease. A live
-- worker renews it within that time. After a step back a lease would last too long: it is cut to two lease times.

local CUT_AT_ONCE = 1000

-- Record when the clock was read (`watched`), and when a step forward was found (`skipped`).
local function watch_clock(lease)
  local last = tonumber(redis.call('HGET', K.pace, 'watched') or whole(now))
  if last > now then redis.call('HDEL', K.pace, 'skipped') end
  if now - last > lease / 3 then redis.call('HSET', K.pace, 'skipped', whole(now)) end
  redis.call('HSET', K.pace, 'watched', whole(now))
end

-- Return a function that extends a lease that ended before the step was found, and returns whether it did. `spared` of the
-- job is the new end: a lease that was not renewed since is not extended again.
local function lease_extender(lease)
  local skipped = tonumber(redis.call('HGET', K.pace, 'skipped') or '-1')
  local longer = whole(now + lease / 2)
  return function(id, ends, spared)
    if ends > skipped or spared == whole(ends) then return false end
    redis.call('HSET', F.job .. id, 'spared', longer)
    redis.call('ZADD', K.leases, longer, id)
    return true
  end
end

-- Cut the leases that would last too long.
local function cut_long_leases(lease)
  local longest = whole(now + 2 * lease)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', K.leases, '(' .. longest, '+inf', 'LIMIT', 0, CUT_AT_ONCE)) do
    redis.call('ZADD', K.leases, longest, id)
  end
end
