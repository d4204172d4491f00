-- Store a one-time link that signs a user in. It ends with the sessions of the user, too.
-- KEYS  prefix
-- ARGV  hash of the link, name of the user, its life in ms, hash of the name
-- RETURN 1; 0 if there is no user of this name

allow_oom()
if redis.call('HEXISTS', K.console_users, ARGV[2]) == 0 then return 0 end
local value = whole(now + ARGV[3]) .. ' ' .. whole(now) .. ' ' .. ARGV[4] .. ' ' .. ARGV[2]
redis.call('SET', F.sign_in_link .. ARGV[1], value, 'PX', ARGV[3])
return 1
