-- Store an access token of the drop-in front, so that each gateway knows it. A repeated call prolongs it.
-- KEYS  prefix
-- ARGV  hash of the token, hash of the key to which it belongs, its life in ms
-- RETURN 1

redis.call('SET', F.front_token .. ARGV[1], ARGV[2], 'PX', ARGV[3])
return 1
