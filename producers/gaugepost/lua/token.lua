-- Read the region's shared access token, or take the lock to fetch one: only one worker fetches, and the others wait for its
-- token. A repeated call of the lock's owner extends the lock; a worker does this until it has its answer, so that a killed
-- worker delays the others only for a moment. A token or a failure of another credential is not returned.
-- WITH  credentials
-- KEYS  prefix
-- ARGV  id of the caller, ms that the lock lasts, fingerprint of the caller's credential
-- RETURN encrypted token ('' = none), generation, ms until it ends, '1' if the caller must fetch one now, failure of the last
--        fetch until the next one is allowed ('' = none)

local LONGEST_LOCK_MS = 60000 -- a lock that lasts longer was set before Redis' clock stepped back

allow_oom()
local found = redis.call('HMGET', K.token, 'sealed', 'generation', 'expires', 'refresh', 'failure', 'failed_until',
  'credential', 'failed_credential')
local sealed, left = found[1] or '', tonumber(found[3] or '0') - now
if left <= 0 or is_other_credential(found[7], ARGV[3]) then sealed = '' end
local failed = found[5] and tonumber(found[6]) > now and not is_other_credential(found[8], ARGV[3])
local wanted = sealed == '' or tonumber(found[4]) <= now
local mine = false
if wanted and not failed then
  if redis.call('PTTL', K.token_lock) > LONGEST_LOCK_MS then redis.call('PEXPIRE', K.token_lock, ARGV[2]) end
  mine = redis.call('GET', K.token_lock) == ARGV[1] and redis.call('PEXPIRE', K.token_lock, ARGV[2]) == 1
    or redis.call('SET', K.token_lock, ARGV[1], 'NX', 'PX', ARGV[2])
end
return {sealed, found[2] or '0', whole(math.max(left, 0)), mine and '1' or '', sealed == '' and failed and found[5] or ''}
