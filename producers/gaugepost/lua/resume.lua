-- Lift a hold of a person or an automatic one. The next ticks release its jobs at a bounded rate.
-- WITH  canaries, credentials, bells
-- KEYS  prefix, queue, urgent queue
-- ARGV  scope, name of the person who lifts it ('' = not known)
-- RETURN 1, or 0 if there is none

if redis.call('HEXISTS', K.holds, ARGV[1]) == 0 then return 0 end
allow_oom() -- a hold must not outlast its reason because Redis is full
lift_hold(ARGV[1], 'resumed' .. (ARGV[2] ~= '' and ' by ' .. ARGV[2] or ''))
local batch = string.match(ARGV[1], '^batch:(.+)$')
if batch then close_canary(batch, 'resumed', 'resumed' .. (ARGV[2] ~= '' and ' by ' .. ARGV[2] or '')) end
forget_token_failures() -- a person resumes after a repair: fetch a token at once
ring_for_ready()
return 1
