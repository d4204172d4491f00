-- Forget the failures of a name after a sign-in. Those of the address stay, but for this attempt: others may be behind it.
-- KEYS  prefix
-- ARGV  hash of the name, hash of the address
-- RETURN 1

redis.call('DEL', F.sign_in_tries .. ARGV[1])
local of_address = F.sign_in_tries .. ARGV[2]
if redis.call('EXISTS', of_address) == 1 then redis.call('HINCRBY', of_address, 'failures', -1) end
return 1
