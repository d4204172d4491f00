-- Decide about canaries whose jobs a worker of an older version has settled.
-- WITH  batch_members

local CANARIES_AT_ONCE = 5
local OPEN = {queued = true, waiting = true, sending = true, parked = true}

-- Record how a member has ended, and count its state as it is now; nothing for a member that has not ended.
local function review(batch, id)
  local found = redis.call('HMGET', F.job .. id, 'state', 'tallied', 'verdict')
  local state, tallied, verdict = found[1], found[2], found[3]
  if OPEN[state] then return end
  record(batch, id)
  if not state or not tallied or state == tallied then return end
  count_in(batch, tallied, -1)
  count_in(batch, state, 1)
  count_in(batch, 'ended', 1)
  if state == 'dead' and verdict then count_in(batch, 'dead:' .. verdict, 1) end
  redis.call('HSET', F.job .. id, 'tallied', state)
end

-- Review the members of some running canaries, and decide.
local function review_canaries()
  for _, batch in ipairs(redis.call('SRANDMEMBER', K.canaries, CANARIES_AT_ONCE)) do
    local members = redis.call('HGETALL', F.canary .. batch)
    for i = 1, #members, 2 do
      if members[i + 1] == '' then review(batch, members[i]) end
    end
    decide(batch)
  end
end
