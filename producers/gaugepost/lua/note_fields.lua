-- Note which fields the jobs of some configurations had today. The oldest go when there are too many, all of them when
-- no job came for so long. Not part of enqueue.lua: it may fail, and is called once a day and process.
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
