-- Notices for the log of a worker.

-- Add a notice for a worker's log; promote.lua returns it at the next tick. The list is bounded, in case no tick comes.
local NOTICES = 1000
local function notify(notice)
  notice.at = now
  redis.call('RPUSH', K.notices, cjson.encode(notice))
  redis.call('LTRIM', K.notices, -NOTICES, -1)
end
