-- Read a session of the console. It ends when it is idle, by its age, and when its user signs out everywhere or is removed.
-- KEYS  prefix
-- ARGV  hash of the session's id; for how many ms it may be idle from now on ('' = do not change it: the page asked by itself)
-- RETURN name, role by the provider or '', JSON of the user or ''; an empty list if there is no such session

local session = F.session .. ARGV[1]
local name, role, since, ends, idle = unpack(redis.call('HMGET', session, 'name', 'role', 'since', 'ends', 'idle'))
if not name then return {} end
local out = tonumber(redis.call('GET', F.signed_out .. name) or 0)
local user = redis.call('HGET', K.console_users, name) or ''
if math.min(ends, idle) <= now or tonumber(since) <= out or (role == '' and user == '') then return {} end
if ARGV[2] ~= '' then
  redis.call('HSET', session, 'idle', whole(now + ARGV[2]))
  redis.call('PEXPIRE', session, ARGV[2])
end
return {name, role, user}
