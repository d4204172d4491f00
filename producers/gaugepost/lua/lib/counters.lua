-- The numbers of jobs in `counts`: a script adds up its changes, and flush() writes them at its end. What other library files
-- have added to `before_flush` runs first.

local deltas, before_flush = {}, {}
local function count(name, by) deltas[name] = (deltas[name] or 0) + by end
local function flush()
  for i = 1, #before_flush do before_flush[i]() end
  for name, by in pairs(deltas) do
    if by ~= 0 and redis.call('HINCRBY', K.counts, name, whole(by)) == 0 then redis.call('HDEL', K.counts, name) end
  end
end
