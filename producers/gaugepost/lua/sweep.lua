-- Forget ended jobs whose retention is over, a bounded number a call.
-- KEYS  prefix
-- ARGV  how many of each state at most; then pairs: state, retention in ms
-- RETURN how many were forgotten

local gone = 0
for i = 2, #ARGV, 2 do
  local state, before = ARGV[i], whole(now - tonumber(ARGV[i + 1]))
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', K[state], '-inf', before, 'LIMIT', 0, ARGV[1])) do
    local verdict = redis.call('HGET', K.job .. id, 'verdict')
    redis.call('ZREM', K[state], id)
    redis.call('UNLINK', K.job .. id, K.content .. id)
    count(state, -1)
    if state == 'dead' and verdict then count('dead:' .. verdict, -1) end
    gone = gone + 1
  end
end
flush()
return gone
