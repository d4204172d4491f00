-- Push a bell for a file when an upload slot is open. mark.lua takes the slot just before the first byte, so a repeated call
-- does no harm.
-- WITH  holds, upload_slots, bells
-- KEYS  prefix, queue, urgent queue
-- ARGV  upload interval in ms, then the upload lanes
-- RETURN 1 if a file can be sent, else 0

local region = get_hold('')
if region and not may_probe(region) then return 0 end
for i = 2, #ARGV do
  if redis.call('ZCARD', K.files .. lane_suffix(ARGV[i])) > 0 and slot_is_open(ARGV[i], ARGV[1]) then
    allow_oom()
    ring(KEYS[2], 1)
    return 1
  end
end
return 0
