-- Upload slots: when the next file of a lane may start.
-- WITH  jobs, upload_lanes

-- Return whether a lane's upload slot is open. A start in the future means that Redis' clock stepped back; mark.lua
-- corrects it.
local function slot_is_open(lane, interval)
  local start = tonumber(redis.call('GET', K.slot .. lane_suffix(lane)) or '0')
  return start == 0 or start > now or now - start >= tonumber(interval)
end

-- Return the first file of a lane if the slot is open. Nil while a claimed file has not taken the slot yet: a later file must
-- not overtake it.
local function next_file(lane, interval)
  local before = redis.call('GET', K.filing .. lane_suffix(lane))
  before = before and load(before)
  if before and before.state == 'sending' and not before.phase and before.marked ~= before.fence then return nil end
  local id = slot_is_open(lane, interval) and redis.call('ZRANGE', K.files .. lane_suffix(lane), 0, 0)[1]
  return id and load(id)
end
