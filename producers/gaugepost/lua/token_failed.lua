-- Record that a request for a token failed, for all workers that wait for it. Open the hold on jobs that need a token; if it is
-- open, schedule its next probe. No hold is opened while the old token still lasts (an early refresh failed). Only the owner
-- of the lock may call this. Each failure in a row with the same verdict makes the wait for the next request longer.
-- WITH  holds, failed_requests
-- KEYS  prefix
-- ARGV  id of the caller, failure (JSON, for waiting workers), hold (JSON: scope, reason, label, verdict, probe_ms, request,
--       and fingerprint if the credential was refused), fingerprint of the credential
-- RETURN 1, or 0 if the caller has lost the lock

if redis.call('GET', K.token_lock) ~= ARGV[1] then return 0 end
redis.call('DEL', K.token_lock)
local spec = cjson.decode(ARGV[3])
local before = redis.call('HMGET', K.token, 'failures', 'failed_as', 'failed_until', 'expires')
local longest = spec.probe_ms[#spec.probe_ms]
local in_a_row = before[2] == spec.verdict and now - tonumber(before[3] or '0') < longest
local step = math.min((in_a_row and tonumber(before[1]) or 0) + 1, #spec.probe_ms)
local next_try = now + spec.probe_ms[step]
redis.call('HSET', K.token, 'failure', ARGV[2], 'failed_until', whole(next_try), 'failures', step, 'failed_as', spec.verdict,
  'failed_credential', ARGV[4])
if tonumber(before[4] or '0') > now then return 1 end

local hold = get_hold(spec.scope)
if hold and hold.by ~= 'gaugepost' then return 1 end
redis.call('SREM', K.releasing, spec.scope)
local request = complete_request(spec.request or {})
local moved = {
  reason = spec.reason, label = spec.label, verdict = spec.verdict, by = 'gaugepost', since = now,
  probe_ms = spec.probe_ms, step = step, probe_at = next_try, token = true, fingerprint = spec.fingerprint,
}
if hold then
  moved.since, moved.opened, moved.failed = hold.since, hold.opened, hold.failed
  note_failed_probe(moved, request)
else
  moved.opened = add_request({}, request)
end
put_hold(spec.scope, moved)
notify_hold(hold and 'moved' or 'opened', spec.scope)
return 1
