-- Ring for a file when the region's upload slot is open. The slot itself is taken by mark.lua, just before the first
-- byte, so a tick too many does no harm.
-- KEYS  prefix, queue, urgent queue
-- ARGV  upload interval in ms, bell
-- RETURN 1 if a file may go

if redis.call('ZCARD', K.files) == 0 or not slot_is_open(ARGV[1]) then return 0 end
local region = get_hold('')
if region and not may_probe(region) then return 0 end
even_when_full()
ring(KEYS[2], ARGV[2], 1)
return 1
