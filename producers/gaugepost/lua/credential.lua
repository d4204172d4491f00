-- Record CustomerGauge's last answer for a worker's credential. If it is refused while another worker's is accepted, only
-- this worker is at fault: it stops itself, and no hold stops the others.
-- WITH  credentials
-- KEYS  prefix
-- ARGV  need (oauth or api_key), fingerprint, 'accepted', 'refused' or '' (record nothing), ms for which the answer counts
-- RETURN 1 if it is refused while another is accepted, else 0

allow_oom()
if ARGV[3] ~= '' then
  local all = redis.call('HGETALL', K.credentials)
  for i = 1, #all, 2 do
    if not valid_answer(all[i + 1]) then redis.call('HDEL', K.credentials, all[i]) end
  end
  redis.call('HSET', K.credentials, ARGV[1] .. ' ' .. ARGV[2], ARGV[3] .. ' ' .. whole(now + ARGV[4]))
end
return is_refused(ARGV[1], ARGV[2]) and other_is_accepted(ARGV[1], ARGV[2]) and 1 or 0
