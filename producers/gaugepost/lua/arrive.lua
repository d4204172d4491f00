-- Bring arrivals into the index, the oldest first, a bounded number in each call.
-- WITH  index
-- KEYS  prefix
-- ARGV  how many at most
-- RETURN how many it has taken; 0 when none is left. A repeated call takes the next ones

local some = redis.call('LPOP', K.arrivals, ARGV[1]) or {}
for _, arrival in ipairs(some) do
  local bytes = string.sub(arrival, STAMP + 1, STAMP + ID)
  local hashes = string.sub(arrival, STAMP + ID + 1)
  if string.sub(hashes, 1, 1) == '*' then
    index_reference(bytes, string.sub(hashes, 2))
  elseif redis.call('EXISTS', F.job .. string.format(string.rep('%02x', ID), string.byte(bytes, 1, ID))) == 1 then
    index_job(string.sub(arrival, 1, STAMP), bytes, hashes)
  end
end
flush_index()
return #some
