-- Record that a worker lives, and return the ticks that it must run itself because no beat ticks. Each tick goes to one
-- worker once in its interval, however many workers call. If the answer is lost, the ticks come again an interval later.
-- KEYS  prefix
-- ARGV  worker, ms since it started, when beat pushed the newest tick that the worker took since its last call (Unix ms,
--       'now' or ''), ms without beat after which workers run the ticks; then pairs: name of a tick, its interval in ms
-- RETURN ms since beat ticked (-1: never), then the names of the ticks

allow_oom()

-- A time of `pace`. Ignore one in the future: Redis' clock stepped back since.
local function time_of(field)
  local ms = tonumber(redis.call('HGET', K.pace, field) or '-1')
  return ms >= 0 and ms <= now and ms or nil
end

local KEPT_MS = 3600000
redis.call('ZREMRANGEBYSCORE', K.alive, '-inf', whole(now - KEPT_MS))
redis.call('ZREMRANGEBYSCORE', K.alive, '(' .. whole(now), '+inf')
redis.call('ZADD', K.alive, whole(now), ARGV[1])

local beat = time_of('beat_sent')
local pushed = ARGV[3] == 'now' and now or tonumber(ARGV[3]) -- a beat of an older version does not write it itself
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
    -- Add whole intervals: otherwise a late call would delay all later ones.
    redis.call('HSET', K.pace, field, whole(last and now - (now - last) % interval or now))
    out[#out + 1] = ARGV[i]
  end
end
return out
