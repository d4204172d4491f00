-- The contents of files. `contents` has the time since when each is no longer needed (+inf: still needed), `content_bytes`
-- the size of all contents.

-- Delete a content.
local function forget_content(id)
  local size = redis.call('STRLEN', F.content .. id)
  redis.call('ZREM', K.contents, id)
  if size == 0 then return end
  redis.call('UNLINK', F.content .. id)
  redis.call('DECRBY', K.content_bytes, whole(size))
end

-- Keep the content of a delivered file for a while (for its rejected rows), and that of a dead file for a replay.
local function keep_content(job, state)
  if state == 'delivered' then
    redis.call('ZADD', K.contents, 'XX', whole(now), job.id)
  elseif state == 'cancelled' or state == 'expired' then
    forget_content(job.id)
  end
end
