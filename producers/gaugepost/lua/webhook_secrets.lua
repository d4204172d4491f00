-- Replace the secrets of an endpoint, if nobody has changed them since they were read.
-- KEYS  prefix
-- ARGV  id, JSON of its secrets as they were read, the new JSON
-- RETURN 1; 0 if there is no such endpoint, or if its secrets are others. A repeated call returns 1

allow_oom()
local found = redis.call('HGET', K.webhook_secrets, ARGV[1])
if found == ARGV[3] then return 1 end
if found ~= ARGV[2] then return 0 end
redis.call('HSET', K.webhook_secrets, ARGV[1], ARGV[3])
return 1
