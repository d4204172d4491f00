-- Index jobs that an older version stored.
-- WITH  index
-- KEYS  prefix
-- ARGV  for each job: id, hashes of its references
-- RETURN how many jobs are in the index now. A repeated call changes nothing

local done = 0
for i = 1, #ARGV, 2 do
  local found = redis.call('HMGET', F.job .. ARGV[i], 'state', 'at', 'enqueued')
  if found[1] then
    local at = found[3] or found[2] or ''
    local stamp = #at < 18 and string.match(at, '^%d+$') or '0' -- '0': a damaged record
    index_job(pack_stamp(stamp), to_bytes(ARGV[i]), ARGV[i + 1])
    done = done + 1
  end
end
flush_index()
return done
