-- End all sessions of a person in this region.
-- KEYS  prefix
-- ARGV  name, the longest life of a session in ms
-- RETURN 1

redis.call('SET', F.signed_out .. ARGV[1], whole(now), 'PX', ARGV[2])
return 1
