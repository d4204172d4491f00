-- Start a session of the console: of a user whose password was checked, of a person of an OpenID provider, or by a one-time link.
-- A password that was replaced while it was checked starts none. A person of a provider never has the name of a user.
-- WITH  sessions
-- KEYS  prefix
-- ARGV  hash of the session's id, name ('' = the user of the link), role by the provider ('' = that of the user),
--       hash of the link ('' = none), for how many ms it may be idle, its life in ms, hash of the checked password ('' = none),
--       hash of the name
-- RETURN the name; '' if the link was used, the user does not exist, or a user has this name. A repeated call returns the name

allow_oom()
local session, life = F.session .. ARGV[1], tonumber(ARGV[6])
local found = redis.call('HGET', session, 'name')
if found then return found end
local name, person = ARGV[2], ARGV[8]
if ARGV[4] ~= '' then
  name, person = user_of_link(ARGV[4])
  if not name then return '' end
  redis.call('DEL', F.sign_in_link .. ARGV[4])
end
local user = redis.call('HGET', K.console_users, name)
if (ARGV[3] == '') ~= (user ~= false) then return '' end
if ARGV[7] ~= '' and cjson.decode(user).password ~= ARGV[7] then return '' end
redis.call('HSET', session, 'name', name, 'person', person, 'role', ARGV[3], 'since', whole(now))
redis.call('HSET', session, 'ends', whole(now + life), 'idle', whole(now + ARGV[5]))
redis.call('PEXPIRE', session, ARGV[5])
return name
