-- When a worker of this region was last seen. ledger/presence.py reads the same for `gaugepost status`.

local ABSENT_MS = 30000 -- a worker counts as missing after this time; the same as in ledger/presence.py

-- Return Unix ms, -1: never. A worker of an older version does not report: it counts as seen now while its last claim counts.
local function worker_seen()
  local newest = redis.call('ZREVRANGEBYSCORE', K.alive, whole(now), '-inf', 'WITHSCORES', 'LIMIT', 0, 1)
  local seen = tonumber(newest[2] or '-1')
  if seen >= 0 and now - seen < ABSENT_MS then return seen end
  local claimed = redis.call('HGETALL', K.workers)
  for i = 1, #claimed, 2 do
    local ends = tonumber(string.match(claimed[i + 1], ':(%d+)$') or '-1')
    if ends > now and not redis.call('ZSCORE', K.alive, claimed[i]) then return now end
  end
  return seen
end
