-- Read sessions of the console. One ends when it is idle, by its age, and when its user signs out everywhere or is removed. That of
-- a person of a provider ends when a user of the same name is added, too.
-- WITH  sessions
-- KEYS  prefix
-- ARGV  for how many ms they may be idle from now on ('' = do not change it: open pages asked by themselves); hashes of their ids
-- RETURN for each: name, role by the provider or '', JSON of the user or ''; an empty list if there is no such session

local idle_ms = ARGV[1]

local function extend(session)
  allow_oom()
  redis.call('HSET', session, 'idle', whole(now + idle_ms))
  redis.call('PEXPIRE', session, idle_ms)
end

local function read(session)
  local fields = redis.call('HMGET', session, 'name', 'person', 'role', 'since', 'ends', 'idle')
  local name, person, role, since, ends, idle = unpack(fields)
  if not person then return {} end
  local user = redis.call('HGET', K.console_users, name)
  if math.min(ends, idle) <= now or was_ended(person, since) or (role == '') ~= (user ~= false) then return {} end
  -- A person must see pages also while Redis refuses all writes, as with a full disk. The session is then not extended.
  if idle_ms ~= '' then pcall(extend, session) end
  return {name, role, user or ''}
end

local found = {}
for place = 2, #ARGV do found[#found + 1] = read(F.session .. ARGV[place]) end
return found
