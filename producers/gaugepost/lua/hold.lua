-- Put up a person's hold. It replaces a hold that put up itself and ends only by `resume` or at its `until`.
-- KEYS  prefix
-- ARGV  scope, reason, by, until in ms ('' = none)
-- RETURN 1

redis.call('SREM', K.releasing, ARGV[1])
put_hold(ARGV[1], {reason = ARGV[2], by = ARGV[3], since = now, ['until'] = tonumber(ARGV[4])})
return 1
