-- Open a person's hold. It replaces an automatic hold, and ends only by `resume` or at its `until`.
-- WITH  holds
-- KEYS  prefix
-- ARGV  scope, reason, by, until in ms, or how long in ms (both '' = no end)
-- RETURN 1, or 0 if its `until` is in the past: no hold is opened

local ends = tonumber(ARGV[4])
if ARGV[5] ~= '' then ends = now + ARGV[5] end
if ends and ends <= now then return 0 end
allow_oom()
redis.call('SREM', K.releasing, ARGV[1])
put_hold(ARGV[1], {reason = ARGV[2], by = ARGV[3], since = now, ['until'] = ends})
notify_hold('opened', ARGV[1])
return 1
