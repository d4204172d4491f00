-- Replace the secrets of an endpoint, unless they were changed since the caller read them. The caller could
-- decrypt them, so they do not make the endpoint `failing`, now and for some minutes (webhook_settle.lua).
-- KEYS  prefix
-- ARGV  id, JSON of its secrets as they were read, the new JSON
-- RETURN 1; 0 if there is no such endpoint, or if its secrets are others. A repeated call returns 1

allow_oom()
local found, own = redis.call('HGET', K.webhook_secrets, ARGV[1]), F.webhook .. ARGV[1]
if found ~= ARGV[2] and found ~= ARGV[3] then return 0 end
if found ~= ARGV[3] then redis.call('HSET', K.webhook_secrets, ARGV[1], ARGV[3]) end
redis.call('HSET', own, 'opened', whole(now))
if redis.call('HDEL', own, 'sealed') == 1 then redis.call('HDEL', own, 'error') end
return 1
