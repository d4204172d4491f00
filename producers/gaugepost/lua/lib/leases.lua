-- WITH leases: leases end by Redis' clock, and that clock may step.
-- It is set, or a replica becomes the master whose clock differs. After a step forward, or after a time in which Redis was
-- away, the leases of workers that live have ended too. The ticks look at the clock every second. Where it went on by more
-- than a third of a lease between two looks, each lease that had ended by then is spared once: it lasts for another half,
-- in which a worker that lives renews it. (At any time it has renewed within the last half.) After a step back a lease
-- would last for too long: it is cut to two lease times.

local CUT_AT_ONCE = 1000

-- Note when the clock was looked at (`watched`), and when it was found to have skipped (`skipped`).
local function watch_clock(lease)
  local last = tonumber(redis.call('HGET', K.pace, 'watched') or whole(now))
  if last > now then redis.call('HDEL', K.pace, 'skipped') end
  if now - last > lease / 3 then redis.call('HSET', K.pace, 'skipped', whole(now)) end
  redis.call('HSET', K.pace, 'watched', whole(now))
end

-- A function that spares a lease which ended before the clock was seen to skip, and returns whether it did. `spared` on
-- the job is the end that it gave, so that a lease which was not renewed since is not spared again.
local function sparing(lease)
  local skipped = tonumber(redis.call('HGET', K.pace, 'skipped') or '-1')
  local longer = whole(now + lease / 2)
  return function(id, ends, spared)
    if ends > skipped or spared == whole(ends) then return false end
    redis.call('HSET', F.job .. id, 'spared', longer)
    redis.call('ZADD', K.leases, longer, id)
    return true
  end
end

local function cut_long_leases(lease)
  local longest = whole(now + 2 * lease)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', K.leases, '(' .. longest, '+inf', 'LIMIT', 0, CUT_AT_ONCE)) do
    redis.call('ZADD', K.leases, longest, id)
  end
end
