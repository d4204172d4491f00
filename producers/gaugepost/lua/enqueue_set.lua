-- Store the parts of one upload, all or none. Their staged contents lose their time limit. Refuse an upload whose content and
-- family were uploaded before (by its digest), unless '1' = again. A repeated call changes nothing.
-- WITH  new_jobs, arrivals, batch_arrivals
-- KEYS  prefix, queue, urgent queue
-- ARGV  backlog limit, limit of content bytes, set id, set JSON, digest, life of the digest in ms, '1' = again,
--       lane, '1' = before all others, deliver_at in ms ('' = now), batch ('' = none); then for each part: id; JSON; its id as 16 bytes, then the
--       hashes of its references (lib/arrivals.lua)
-- RETURN id of the set with this content; that of another set means refused. Or an error BACKLOGFULL, CONTENTFULL or
--        CONTENTGONE, and nothing is stored

local FIRST = 12
local set_id, digest, lane, first = ARGV[3], F.digest .. ARGV[5], ARGV[8], ARGV[9] == '1'
local due, batch = ARGV[10] ~= '' and ARGV[10] or nil, ARGV[11]
if redis.call('EXISTS', F.set .. set_id) == 1 then return set_id end -- a repeated call
local before = redis.call('GET', digest)
if before and ARGV[7] ~= '1' then return before end

local parts, bytes = 0, 0
for i = FIRST, #ARGV, 3 do
  local size = redis.call('STRLEN', F.content .. ARGV[i])
  if size == 0 then return redis.error_reply('CONTENTGONE staged too long ago') end
  parts, bytes = parts + 1, bytes + size
end
local refusal = limit_error(parts, ARGV[1], bytes, ARGV[2])
if refusal then return redis.error_reply(refusal) end

for i = FIRST, #ARGV, 3 do
  local id, at = ARGV[i], next_stamp()
  local is_later = ms_until(due) > 0
  local state = is_later and schedule_new(id, at, {due = due, lane = lane}) or place_new(id, at, lane, false, nil, first)
  redis.call('HSET', F.job .. id, 'job', ARGV[i + 1], 'state', state, 'at', at, 'about', 'file', 'once', '1', 'lane', lane)
  if first then redis.call('HSET', F.job .. id, 'first', '1') end
  if due then redis.call('HSET', F.job .. id, 'due', due) end
  redis.call('HSET', F.job .. id, 'set', set_id)
  redis.call('SADD', F.parts .. set_id, id)
  redis.call('PERSIST', F.content .. id)
  redis.call('ZADD', K.contents, '+inf', id)
  arrive(at, ARGV[i + 2])
  count(state, 1)
  if batch ~= '' then
    join_batch(id, batch)
    tally_new(id, batch, state)
  end
end
redis.call('INCRBY', K.content_bytes, whole(bytes))
redis.call('SET', F.set .. set_id, ARGV[4], 'PX', whole(100 * 86400000))
redis.call('ZADD', K.sets, whole(now), set_id)
redis.call('PEXPIRE', F.parts .. set_id, whole(100 * 86400000))
redis.call('SET', digest, set_id, 'PX', ARGV[6])
flush_arrivals()
flush_new()
ring(KEYS[2], 1)
return set_id
