-- Count a request of a gateway's key that has a rate. All gateways share the count. A key may send one second's requests at once;
-- each request uses up a part of a second of its time.
-- KEYS  prefix
-- ARGV  hash of the secret, requests a second
-- RETURN 0 if the request may go on; else the time in ms after which the next one may

local key, part = F.api_rate .. ARGV[1], 1000 / ARGV[2]
local used = math.max(now, tonumber(redis.call('GET', key)) or 0) + part
local wait = used - now - math.max(1000, part)
if wait > 0 then return math.ceil(wait) end
redis.call('SET', key, whole(used), 'PX', whole(math.max(10000, used - now)))
return 0
