-- Store a one-time link that signs a user in.
-- KEYS  prefix
-- ARGV  hash of the link, name of the user, its life in ms
-- RETURN 1; 0 if there is no user of this name

allow_oom()
if redis.call('HEXISTS', K.console_users, ARGV[2]) == 0 then return 0 end
redis.call('SET', F.sign_in_link .. ARGV[1], whole(now + ARGV[3]) .. ' ' .. ARGV[2], 'PX', ARGV[3])
return 1
