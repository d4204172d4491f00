-- Store an endpoint of webhooks in this region.
-- KEYS  prefix
-- ARGV  id, JSON (lib/events.lua), JSON of its secrets, how many endpoints the region may have
-- RETURN 1; 0 if the region has that many already. A repeated call changes nothing

allow_oom()
if redis.call('HEXISTS', K.webhooks, ARGV[1]) == 1 then return 1 end
if redis.call('HLEN', K.webhooks) >= tonumber(ARGV[4]) then return 0 end
redis.call('HSET', K.webhooks, ARGV[1], ARGV[2])
redis.call('HSET', K.webhook_secrets, ARGV[1], ARGV[3])
return 1
