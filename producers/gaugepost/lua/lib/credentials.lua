-- CustomerGauge's answers for each worker's credentials. Workers of a region may have different ones, while a key is replaced
-- or by mistake.

-- Allow a worker to fetch a token at once: forget that earlier requests for one failed.
local function forget_token_failures()
  redis.call('HDEL', K.token, 'failure', 'failed_until', 'failures', 'failed_as', 'failed_credential')
end

-- Return whether a fingerprint is that of another credential. Older versions write none: then it counts as the caller's own.
local function is_other_credential(fingerprint, mine) return fingerprint and fingerprint ~= mine end

-- Return whether the shared token lasts and was fetched with another credential.
local function token_is_of_other(mine)
  local found = redis.call('HMGET', K.token, 'sealed', 'credential', 'expires')
  return found[1] and is_other_credential(found[2], mine) and tonumber(found[3]) > now
end

-- Return the last answer for a credential, 'accepted' or 'refused'; nil if it no longer counts.
local function valid_answer(text)
  local answer, ends = string.match(text or '', '^(%l+) (%d+)$')
  return answer and tonumber(ends) > now and answer or nil
end

-- Return whether CustomerGauge refused the caller's credential for this need.
local function is_refused(need, mine)
  return valid_answer(redis.call('HGET', K.credentials, need .. ' ' .. mine)) == 'refused'
end

-- Return whether CustomerGauge accepts another worker's credential for this need.
local function other_is_accepted(need, mine)
  local all = redis.call('HGETALL', K.credentials)
  for i = 1, #all, 2 do
    local its_need, fingerprint = string.match(all[i], '^(%S+) (%S+)$')
    if its_need == need and fingerprint ~= mine and valid_answer(all[i + 1]) == 'accepted' then return true end
  end
  return need == 'oauth' and token_is_of_other(mine)
end
