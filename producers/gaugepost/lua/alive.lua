-- Note that a worker is alive, and give it the ticks that it has to run itself because no beat ticks. Each tick is given
-- once an interval, to one worker, however many workers call and however often. A repeated call does not give the same
-- ticks again: they are given again an interval later.
-- KEYS  prefix
-- ARGV  worker, ms since it started, when beat pushed the newest tick that it has taken since its last call (ms, 'now' or
--       ''), ms without a beat after which workers run the ticks; then pairs: tick, its interval in ms
-- RETURN ms since beat ticked (-1: never), then the names of the ticks

even_when_full()

-- A time of `pace`; one later than now is none: the clock stepped back.
local function time_of(field)
  local ms = tonumber(redis.call('HGET', K.pace, field) or '-1')
  return ms >= 0 and ms <= now and ms or nil
end

local KEPT_MS = 3600000
redis.call('ZREMRANGEBYSCORE', K.alive, '-inf', whole(now - KEPT_MS))
redis.call('ZREMRANGEBYSCORE', K.alive, '(' .. whole(now), '+inf')
redis.call('ZADD', K.alive, whole(now), ARGV[1])

local beat = time_of('beat_sent')
local pushed = ARGV[3] == 'now' and now or tonumber(ARGV[3]) -- beats of older versions do not note it themselves
if pushed and pushed <= now and pushed > (beat or -1) then
  redis.call('HSET', K.pace, 'beat_sent', whole(pushed))
  beat = pushed
end
local out = {beat and now - beat or -1}
if (beat and now - beat or tonumber(ARGV[2])) < tonumber(ARGV[4]) then return out end

for i = 5, #ARGV, 2 do
  local field, interval = 'own:' .. ARGV[i], tonumber(ARGV[i + 1])
  local last = time_of(field)
  if not last or now - last >= interval then
    -- A whole number of intervals later: a call that comes a little late makes no later one wait.
    redis.call('HSET', K.pace, field, whole(last and now - (now - last) % interval or now))
    out[#out + 1] = ARGV[i]
  end
end
return out
