-- WITH jobs, holds: CustomerGauge's answers for each worker's credentials. Workers of a region may have different ones, while
-- a key is replaced or by mistake.

local function forget_token_failures()
  redis.call('HDEL', K.token, 'failure', 'failed_until', 'failures', 'failed_as', 'failed_credential')
end

-- Older versions write no fingerprint. Then the credential counts as the caller's own.
local function is_anothers(fingerprint, mine) return fingerprint and fingerprint ~= mine end

local function token_is_anothers(mine)
  local found = redis.call('HMGET', K.token, 'sealed', 'credential', 'expires')
  return found[1] and is_anothers(found[2], mine) and tonumber(found[3]) > now
end

-- Return the last answer for a credential, 'accepted' or 'refused'; nil if it no longer counts.
local function counting(text)
  local said, ends = string.match(text or '', '^(%l+) (%d+)$')
  return said and tonumber(ends) > now and said or nil
end

local function is_refused(need, mine)
  return counting(redis.call('HGET', K.credentials, need .. ' ' .. mine)) == 'refused'
end

-- Return whether CustomerGauge accepts another worker's credential for this need.
local function another_is_accepted(need, mine)
  local all = redis.call('HGETALL', K.credentials)
  for i = 1, #all, 2 do
    local its_need, fingerprint = string.match(all[i], '^(%S+) (%S+)$')
    if its_need == need and fingerprint ~= mine and counting(all[i + 1]) == 'accepted' then return true end
  end
  return need == 'oauth' and token_is_anothers(mine)
end
