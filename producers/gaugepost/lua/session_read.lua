-- Read a session of the console. It ends when it is idle, by its age, and when its user signs out everywhere or is removed. That
-- of a person of a provider ends when a user of the same name is added, too.
-- WITH  sessions
-- KEYS  prefix
-- ARGV  hash of the session's id; for how many ms it may be idle from now on ('' = do not change it: the page asked by itself)
-- RETURN name, role by the provider or '', JSON of the user or ''; an empty list if there is no such session

local session = F.session .. ARGV[1]
local fields = redis.call('HMGET', session, 'name', 'person', 'role', 'since', 'ends', 'idle')
local name, person, role, since, ends, idle = unpack(fields)
if not person then return {} end
local user = redis.call('HGET', K.console_users, name)
if math.min(ends, idle) <= now or was_ended(person, since) or (role == '') ~= (user ~= false) then return {} end

local function extend()
  allow_oom()
  redis.call('HSET', session, 'idle', whole(now + ARGV[2]))
  redis.call('PEXPIRE', session, ARGV[2])
end
-- A person must see pages also while Redis refuses all writes, as with a full disk. The session is then not extended.
if ARGV[2] ~= '' then pcall(extend) end
return {name, role, user or ''}
