-- The limit of the region's concurrency: how many jobs may be sent at a time. Each throttling halves it. It grows by one after
-- as many deliveries as it allows, until all workers can be busy; then the limit ends.

-- Return how many jobs all live workers can send at a time. Delete the other workers.
local function live_workers()
  local all, sum = redis.call('HGETALL', K.workers), 0
  for i = 2, #all, 2 do
    local concurrency, expires = string.match(all[i], '^(%d+):(%d+)$')
    if tonumber(expires) > now then sum = sum + tonumber(concurrency) else redis.call('HDEL', K.workers, all[i - 1]) end
  end
  return sum
end

-- Halve the limit after a throttling, or set it for the first time.
local function halve_concurrency()
  local busy = live_workers()
  local limit = math.min(tonumber(redis.call('HGET', K.concurrency, 'limit') or busy), busy)
  redis.call('HSET', K.concurrency, 'limit', math.max(1, math.floor(limit / 2)), 'full', busy, 'delivered', 0)
end

-- Raise the limit, if there is one, after so many deliveries.
local function grow_concurrency(delivered)
  local found = redis.call('HMGET', K.concurrency, 'limit', 'full', 'delivered')
  if not found[1] then return end
  local limit, full = tonumber(found[1]), tonumber(found[2])
  delivered = delivered + tonumber(found[3])
  while delivered >= limit and limit < full do
    delivered, limit = delivered - limit, limit + 1
  end
  if limit >= full then return redis.call('DEL', K.concurrency) end
  redis.call('HSET', K.concurrency, 'limit', limit, 'delivered', delivered)
end
