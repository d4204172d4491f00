-- Operations: bulk actions that workers carry out in steps (ledger/operations.py).
-- WITH  events

-- Return the ids of the open operations that started before this one, the earliest first.
local function operations_before(id)
  local earlier = {}
  for _, other in ipairs(redis.call('ZRANGE', K.open_operations, 0, -1)) do
    if other == id then break end
    earlier[#earlier + 1] = other
  end
  return earlier
end

-- Return the first of these operations that will still change a job; nil if none will.
local function operation_with(job_id, operations)
  for _, other in ipairs(operations) do
    if redis.call('ZSCORE', F.todo .. other, job_id) then return other end
  end
end

-- Delete what an ended operation says about people: the values of its edits, and in its filter the hashes of references, of
-- which the sorts stay. Without a key, a reader of Redis can test a guess against such a hash.
local function strip_operation(id)
  local key = F.operation .. id
  redis.call('HDEL', key, 'edits')
  local text = redis.call('HGET', key, 'filter')
  local filter = text and cjson.decode(text)
  if not filter or not filter.references then return end
  for _, reference in ipairs(filter.references) do reference[2] = nil end
  redis.call('HSET', key, 'filter', cjson.encode(filter))
end

-- End an operation. Jobs that it has not changed stay as they are.
local function end_operation(id, state)
  redis.call('HSET', F.operation .. id, 'state', state, 'ended', whole(now))
  redis.call('HDEL', F.operation .. id, 'cursor', 'holder', 'lease_ends', 'paced')
  strip_operation(id)
  redis.call('UNLINK', F.todo .. id)
  redis.call('ZREM', K.open_operations, id)
  local row = redis.call('HMGET', F.operation .. id, 'action', 'matched', 'done')
  local action = string.match(row[1] or '', '^[^_]*')
  local matched, done = tonumber(row[2] or '0'), tonumber(row[3] or '0')
  emit('operation.finished', '', {id = id, action = action, state = state, matched = matched, done = done})
end
