-- Start a session of the console: for a user whose password was checked, for a person of an OpenID provider, or by a one-time link.
-- KEYS  prefix
-- ARGV  hash of the session's id, name ('' = the user of the link), role by the provider ('' = that of the user),
--       hash of the link ('' = none), for how many ms it may be idle, its life in ms
-- RETURN the name; '' if the link was used, or the user does not exist. A repeated call returns the name

allow_oom()
local session = F.session .. ARGV[1]
local found = redis.call('HGET', session, 'name')
if found then return found end
local name, link = ARGV[2], F.sign_in_link .. ARGV[4]
if ARGV[4] ~= '' then
  local ends, user = string.match(redis.call('GET', link) or '', '^(%d+) (.+)$')
  if not user or tonumber(ends) <= now then return '' end
  name = user
  redis.call('DEL', link)
end
if ARGV[3] == '' and redis.call('HEXISTS', K.console_users, name) == 0 then return '' end
redis.call('HSET', session, 'name', name, 'role', ARGV[3], 'since', whole(now))
redis.call('HSET', session, 'ends', whole(now + ARGV[6]), 'idle', whole(now + ARGV[5]))
redis.call('PEXPIRE', session, ARGV[5])
return name
