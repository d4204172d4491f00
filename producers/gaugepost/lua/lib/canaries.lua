-- Canaries: the first jobs of a batch are sent, the others wait under the hold `batch:<name>` until all of the first have ended.
-- The script that ends the last of them decides: the hold is lifted, or it stays and says why.
-- `batch:<name>` has canary (its size), tolerance (in percent), canary_state (running, passed, held, resumed), canary_reason.
-- `canary:<name>` is a hash: id of a member -> how it ended ('' = it has not): `clean`, `cancelled` by a person, `unsent` (expired
-- or erased), or why it is not clean. `canaries` has the batches whose canary is running.
-- WITH  batches, holds

local REASONS = 5

local function scope_of(batch) return 'batch:' .. batch end

-- Return how a job has ended; '' if it has not. `fields`: names of the fields that CustomerGauge refused.
local UNSENT = {cancelled = true, unsent = true}
local function outcome_of(key, fields)
  local found = redis.call('HMGET', key, 'state', 'verdict', 'warnings', 'reason')
  local state, warnings = found[1], found[3] and cjson.decode(found[3])
  if state == 'cancelled' and found[4] ~= 'erased' then return 'cancelled' end
  if not state or state == 'cancelled' or state == 'expired' then return 'unsent' end
  if state == 'unknown' then return 'unknown' end
  if state == 'dead' then return (found[2] or 'dead') .. (fields and ' ' .. fields or '') end
  if state ~= 'delivered' then return '' end
  return warnings and warnings[1] and 'warning: ' .. string.sub(warnings[1], 1, 80) or 'clean'
end

-- Describe outcomes that are not clean, the most frequent first: `11 missing_field Email, 1 unknown`.
local function describe(numbers)
  local rows = {}
  for outcome, number in pairs(numbers) do rows[#rows + 1] = {number, outcome} end
  table.sort(rows, function(a, b) return a[1] > b[1] or a[1] == b[1] and a[2] < b[2] end)
  local texts, rest = {}, 0
  for i, row in ipairs(rows) do
    if i <= REASONS then texts[i] = row[1] .. ' ' .. row[2] else rest = rest + row[1] end
  end
  return table.concat(texts, ', ') .. (rest > 0 and ', ' .. rest .. ' others' or '')
end

-- Count the outcomes of a canary. Return how many were sent, how many of them are not clean, these by outcome, and how many
-- members a person has cancelled; nil while a member is missing or has not ended.
local function count_outcomes(batch, size)
  local found = redis.call('HGETALL', F.canary .. batch)
  if #found / 2 < size then return nil end
  local sent, faulty, numbers, cancelled = 0, 0, {}, 0
  for i = 2, #found, 2 do
    local outcome = found[i]
    if outcome == '' then return nil end
    if outcome == 'cancelled' then cancelled = cancelled + 1 end
    if not UNSENT[outcome] then sent = sent + 1 end
    if not UNSENT[outcome] and outcome ~= 'clean' then
      faulty, numbers[outcome] = faulty + 1, (numbers[outcome] or 0) + 1
    end
  end
  return sent, faulty, numbers, cancelled
end

-- Return whether all jobs of a batch have ended.
local WAITS = {'queued', 'waiting', 'sending', 'parked'}
local function is_done(batch)
  for _, number in ipairs(redis.call('HMGET', F.batch .. batch, unpack(WAITS))) do
    if tonumber(number or '0') > 0 then return false end
  end
  return true
end

-- Open the hold of a batch, unless it is open.
local function open_batch_hold(batch, reason)
  local scope = scope_of(batch)
  local hold = get_hold(scope)
  if hold and hold.reason == reason then return end
  redis.call('SREM', K.releasing, scope)
  put_hold(scope, {reason = reason, by = 'gaugepost', since = now, label = 'canary'})
  notify_hold('opened', scope)
end

local function close_canary(batch, state, reason)
  redis.call('HSET', F.batch .. batch, 'canary_state', state, 'canary_reason', reason, 'canary_decided', whole(now))
  redis.call('SREM', K.canaries, batch)
end

-- Say why a canary does not pass. What a person cancels must not be sent, so a canary with a cancelled member does not pass.
local function why_held(size, sent, faulty, numbers, cancelled)
  local reasons = {}
  if cancelled > 0 then reasons[1] = cancelled .. ' of ' .. size .. (cancelled > 1 and ' were' or ' was') .. ' cancelled' end
  if faulty > 0 then reasons[#reasons + 1] = faulty .. ' of ' .. sent .. ' not clean: ' .. describe(numbers) end
  return 'canary: ' .. (reasons[1] and table.concat(reasons, '; ') or 'none of ' .. size .. ' was sent')
end

-- Decide about a running canary whose members have all ended.
local function decide(batch)
  local row = redis.call('HMGET', F.batch .. batch, 'canary', 'tolerance', 'canary_state')
  if row[3] ~= 'running' then return end
  local sent, faulty, numbers, cancelled = count_outcomes(batch, tonumber(row[1]))
  if not sent then return end
  if sent > 0 and cancelled == 0 and faulty * 100 <= tonumber(row[2]) * sent then
    local why = 'canary: ' .. faulty .. ' of ' .. sent .. ' not clean'
    close_canary(batch, 'passed', why)
    return lift_hold(scope_of(batch), why)
  end
  local why = why_held(row[1], sent, faulty, numbers, cancelled)
  close_canary(batch, 'held', why)
  if is_done(batch) then return end
  open_batch_hold(batch, why)
  emit('batch.held', '', {batch = batch, reason = why})
end

-- Record how a member has ended, or that it will be sent again; nothing for another job.
local function record(batch, id, fields)
  if redis.call('HEXISTS', F.canary .. batch, id) == 0 then return end
  redis.call('HSET', F.canary .. batch, id, outcome_of(F.job .. id, fields))
  return true
end
