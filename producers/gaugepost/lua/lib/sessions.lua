-- Sessions of people in the console, and the one-time links that start them. `person` is the hash of a name: the name of a person
-- whom an OpenID provider signs in is often an e-mail address, and keys have no personal data.

-- Return whether all sessions and links of a person were ended at this time or later.
local function was_ended(person, since) return tonumber(since) <= tonumber(redis.call('GET', F.signed_out .. person) or 0) end

-- End all sessions and links of a person.
local function end_sessions(person, life) redis.call('SET', F.signed_out .. person, whole(now), 'PX', life) end

-- Return the user whom a one-time link signs in, and the hash of the name; nil if the link was used, or has ended.
local function user_of_link(link)
  local ends, made, person, name = string.match(redis.call('GET', F.sign_in_link .. link) or '', '^(%d+) (%d+) (%x+) (.+)$')
  if not name or tonumber(ends) <= now or was_ended(person, made) then return nil end
  if redis.call('HEXISTS', K.console_users, name) == 0 then return nil end
  return name, person
end
