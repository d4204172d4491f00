-- Add an entry to the audit trail, and delete the entry that it replaces. Redis trims entries that are older than the
-- retention, in whole nodes of the stream (at most 100 entries each). The trail takes entries when memory is full: commands
-- that free memory must be recorded, too.
-- KEYS  prefix
-- ARGV  mark of the call, id of the entry to replace (or ''), retention in ms; then pairs: field, value (none: only delete)
-- RETURN the id of the entry. A repeated call finds its entry by the mark among the newest entries, and adds none

allow_oom()

local NEWEST = 50
local function find(mark)
  for _, entry in ipairs(redis.call('XREVRANGE', K.audit, '+', '-', 'COUNT', NEWEST)) do
    if entry[2][2] == mark then return entry[1] end
  end
end

local id = #ARGV > 3 and find(ARGV[1]) or ''
if #ARGV > 3 and id == '' then
  local oldest = whole(math.max(0, now - ARGV[3]))
  id = redis.call('XADD', K.audit, 'MINID', '~', oldest, '*', 'mark', ARGV[1], unpack(ARGV, 4))
end
if ARGV[2] ~= '' then redis.call('XDEL', K.audit, ARGV[2]) end
return id
