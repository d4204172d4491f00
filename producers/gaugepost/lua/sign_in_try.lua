-- Count an attempt to sign in before its password is checked, so that many at once are no way around. Failures wait ever longer, at most a minute.
-- KEYS  prefix
-- ARGV  hash of a name or an address, how many failures it has free, …
-- RETURN 0: the password may be checked; else in how many ms the next attempt may come

allow_oom()
local wait = 0
for i = 1, #ARGV, 2 do
  wait = math.max(wait, tonumber(redis.call('HGET', F.sign_in_tries .. ARGV[i], 'next') or 0) - now)
end
if wait > 0 then return math.ceil(wait) end
for i = 1, #ARGV, 2 do
  local key, free = F.sign_in_tries .. ARGV[i], tonumber(ARGV[i + 1])
  local failures = redis.call('HINCRBY', key, 'failures', 1)
  if failures > free then redis.call('HSET', key, 'next', whole(now + math.min(60000, 1000 * 2 ^ (failures - free - 1)))) end
  redis.call('PEXPIRE', key, 900000)
end
return 0
