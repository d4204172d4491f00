-- Record which fields the jobs of some configurations had today. The oldest fields are deleted when there are too many, or
-- when they are too old. Not a part of enqueue.lua, because it may fail, and a process calls it once a day for each field.
-- A repeated call changes nothing.
-- KEYS  prefix
-- ARGV  days kept, most fields of a configuration, most configurations; then for each configuration its reference,
--       the number of fields, the fields
-- RETURN nothing

local kept, most_fields, most = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local today = math.floor(clock[1] / 86400)

local function trim(key, limit)
  redis.call('ZREMRANGEBYSCORE', key, '-inf', today - kept)
  redis.call('ZREMRANGEBYRANK', key, 0, -limit - 1)
  redis.call('EXPIRE', key, kept * 86400)
end

local i = 4
while ARGV[i] do
  local key, number = F.fields .. ARGV[i], tonumber(ARGV[i + 1])
  redis.call('ZADD', K.configurations, today, ARGV[i])
  for n = i + 2, i + 1 + number do redis.call('ZADD', key, today, ARGV[n]) end
  trim(key, most_fields)
  i = i + 2 + number
end
trim(K.configurations, most)
