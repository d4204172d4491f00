-- Record what the region did in each minute that has ended: jobs delivered and dead, jobs that wait, and how long delivered
-- jobs took. The numbers come from the sorted sets of ended jobs, so that settle.lua does nothing for them, and minutes in
-- which nobody called are caught up. A repeated call records nothing twice.
-- KEYS  prefix
-- RETURN 1 if more minutes can be recorded now, else 0

local MINUTE, QUARTER = 60000, 900000
local MINUTES, QUARTERS, SAMPLE, KEPT_MS = 75, 96, 200, whole(2 * 86400000)
local sampled, SAMPLED_AT_ONCE = 0, 1000 -- jobs that this call has read, and when it stops

-- Add a delivered job to the numbers of jobs by their latency in quarters of an octave: bucket b begins at 2^(b/4) ms.
local function add_latency(latency, id, ended, weight)
  local at = tonumber(redis.call('HGET', F.job .. id, 'at') or '')
  if not at then return end
  local bucket = whole(math.floor(4 * math.log(math.max(1, ended - at / 1000)) / math.log(2)))
  latency[bucket] = (latency[bucket] or 0) + weight
end

-- Return the latencies of the jobs delivered in a minute. Of more than SAMPLE jobs, read as many at even distances: each
-- stands for its neighbours.
local function latency_of(start, number)
  local latency, step = {}, math.max(1, math.ceil(number / SAMPLE))
  local first = number > 0 and redis.call('ZCOUNT', K.delivered, '-inf', '(' .. whole(start)) or 0
  for rank = first, first + number - 1, step do
    local found = redis.call('ZRANGE', K.delivered, rank, rank, 'WITHSCORES')
    add_latency(latency, found[1], tonumber(found[2]), math.min(step, first + number - rank))
    sampled = sampled + 1
  end
  return latency
end

-- Return how many jobs could be sent, if nothing stopped them.
local function number_waiting()
  local found = redis.call('HMGET', K.counts, 'queued', 'waiting', 'parked', 'parked:scheduled')
  for i = 1, 4 do found[i] = tonumber(found[i] or '0') end
  return found[1] + found[2] + found[3] - found[4]
end

local function push(list, row, most)
  redis.call('LPUSH', list, cjson.encode(row))
  redis.call('LTRIM', list, 0, most - 1)
  redis.call('PEXPIRE', list, KEPT_MS)
end

-- Record a quarter of an hour: the sums of its minutes, and the highest number that waited.
local function record_quarter(start)
  local sum = {at = start, delivered = 0, dead = 0, latency = {}}
  for _, text in ipairs(redis.call('LRANGE', K.history_minutes, 0, QUARTER / MINUTE - 1)) do
    local row = cjson.decode(text)
    if row.at >= start then
      sum.delivered, sum.dead = sum.delivered + row.delivered, sum.dead + row.dead
      if row.waiting then sum.waiting = math.max(sum.waiting or 0, row.waiting) end
      for bucket, number in pairs(row.latency) do sum.latency[bucket] = (sum.latency[bucket] or 0) + number end
    end
  end
  push(K.history_quarters, sum, QUARTERS)
end

-- Record a minute. Only for the minute that has just ended is it known how many jobs waited.
local function record(start, is_newest)
  local last = whole(start + MINUTE - 1)
  local row = {at = start, waiting = is_newest and number_waiting() or nil}
  row.delivered = redis.call('ZCOUNT', K.delivered, whole(start), last)
  row.dead = redis.call('ZCOUNT', K.dead, whole(start), last)
  row.latency = latency_of(start, row.delivered)
  push(K.history_minutes, row, MINUTES)
  if (start + MINUTE) % QUARTER == 0 then record_quarter(start + MINUTE - QUARTER) end
end

local this = now - now % MINUTE -- it has not ended
local newest = redis.call('LINDEX', K.history_minutes, 0)
local start = math.max(newest and cjson.decode(newest).at + MINUTE or 0, this - MINUTES * MINUTE)
if start > this then -- Redis' clock was set back
  redis.call('UNLINK', K.history_minutes, K.history_quarters)
  start = this - MINUTE
end
while start < this and sampled < SAMPLED_AT_ONCE do
  record(start, start + MINUTE == this)
  start = start + MINUTE
end
return start < this and 1 or 0
