-- Read the region's shared access token, or be the one who fetches it: of all workers that need one at the same
-- moment, one gets the lock, the others wait for what it brings. Called again by who has the lock, it prolongs it: a worker
-- that fetches does so until it has its answer, so that a killed one stops the others for a moment only.
-- A token that another credential brought is not the caller's to use, and neither is that one's failure.
-- WITH  jobs, holds, credentials
-- KEYS  prefix
-- ARGV  id of the caller, how long the lock lasts in ms, fingerprint of the caller's credential
-- RETURN sealed token ('' = none), generation, ms until it ends, '1' if the caller is to fetch one now,
--        failure of the last fetch, until the next may be made ('' = none)

local LONGEST_LOCK_MS = 60000 -- one that lasts longer was set before Redis' clock stepped back

even_when_full()
local found = redis.call('HMGET', K.token, 'sealed', 'generation', 'expires', 'refresh', 'failure', 'failed_until',
  'credential', 'failed_credential')
local sealed, left = found[1] or '', tonumber(found[3] or '0') - now
if left <= 0 or is_anothers(found[7], ARGV[3]) then sealed = '' end
local failed = found[5] and tonumber(found[6]) > now and not is_anothers(found[8], ARGV[3])
local wanted = sealed == '' or tonumber(found[4]) <= now
local mine = false
if wanted and not failed then
  if redis.call('PTTL', K.token_lock) > LONGEST_LOCK_MS then redis.call('PEXPIRE', K.token_lock, ARGV[2]) end
  mine = redis.call('GET', K.token_lock) == ARGV[1] and redis.call('PEXPIRE', K.token_lock, ARGV[2]) == 1
    or redis.call('SET', K.token_lock, ARGV[1], 'NX', 'PX', ARGV[2])
end
return {sealed, found[2] or '0', whole(math.max(left, 0)), mine and '1' or '', sealed == '' and failed and found[5] or ''}
