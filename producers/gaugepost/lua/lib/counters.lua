-- The numbers of jobs in `counts`: a script adds up its changes, and flush() writes them at its end.

local deltas = {}
local function count(name, by) deltas[name] = (deltas[name] or 0) + by end
local function flush()
  for name, by in pairs(deltas) do
    if by ~= 0 and redis.call('HINCRBY', K.counts, name, whole(by)) == 0 then redis.call('HDEL', K.counts, name) end
  end
end
