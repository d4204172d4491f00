-- Store a user of the console in this region. A new password ends the sessions and one-time links of the user.
-- WITH  sessions
-- KEYS  prefix
-- ARGV  name; JSON: hash of the password, role …; 'new' or 'replace'; the longest life of a session in ms; hash of the name
-- RETURN 1; 0 if the name is taken, or there is no user to replace. A repeated call returns 1

allow_oom()
local stored = redis.call('HGET', K.console_users, ARGV[1])
if stored == ARGV[2] then return 1 end
if (stored ~= false) ~= (ARGV[3] == 'replace') then return 0 end
redis.call('HSET', K.console_users, ARGV[1], ARGV[2])
if stored then end_sessions(ARGV[5], ARGV[4]) end
return 1
