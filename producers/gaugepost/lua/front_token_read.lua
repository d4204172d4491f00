-- Look up an access token of the drop-in front.
-- KEYS  prefix
-- ARGV  hash of the token
-- RETURN hash of the key to which it belongs ('' = there is no such token), for how many ms it is valid

local key = F.front_token .. ARGV[1]
return {redis.call('GET', key) or '', redis.call('PTTL', key)}
