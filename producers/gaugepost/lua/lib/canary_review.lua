-- Decide about canaries whose jobs a worker of an older version has settled.
-- WITH  batch_members

local CANARIES_AT_ONCE = 5

-- Count the state of a member as it is now.
local function tally_again(batch, id)
  local found = redis.call('HMGET', F.job .. id, 'state', 'tallied', 'verdict')
  local state, tallied = found[1], found[2]
  if not state or not tallied or state == tallied then return end
  count_in(batch, tallied, -1)
  count_in(batch, state, 1)
  count_in(batch, 'ended', 1)
  if state == 'dead' and found[3] then count_in(batch, 'dead:' .. found[3], 1) end
  redis.call('HSET', F.job .. id, 'tallied', state)
end

-- Record how members of some running canaries have ended, and decide.
local function review_canaries()
  for _, batch in ipairs(redis.call('SRANDMEMBER', K.canaries, CANARIES_AT_ONCE)) do
    local members = redis.call('HGETALL', F.canary .. batch)
    for i = 1, #members, 2 do
      if members[i + 1] == '' then
        tally_again(batch, members[i])
        record(batch, members[i])
      end
    end
    decide(batch)
  end
end
