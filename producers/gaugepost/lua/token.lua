-- Read the region's shared access token, or be the one who fetches it: of all workers that need one at the same
-- moment, one gets the lock, the others wait for what it brings.
-- KEYS  prefix
-- ARGV  who asks, how long a fetch may take in ms
-- RETURN sealed token ('' = none), generation, ms until it ends, '1' if the caller is to fetch one now,
--        failure of a fetch a moment ago ('' = none)

even_when_full()
local found = redis.call('HMGET', K.token, 'sealed', 'generation', 'expires', 'refresh', 'failure', 'failed_until')
local sealed, left = found[1] or '', tonumber(found[3] or '0') - now
if left <= 0 then sealed = '' end
local failed = found[5] and tonumber(found[6]) > now
local wanted = sealed == '' or tonumber(found[4]) <= now
local mine = wanted and not failed and redis.call('SET', K.token_lock, ARGV[1], 'NX', 'PX', ARGV[2])
return {sealed, found[2] or '0', whole(math.max(left, 0)), mine and '1' or '', sealed == '' and failed and found[5] or ''}
