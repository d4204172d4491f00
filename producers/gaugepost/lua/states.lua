-- Read the states of jobs. Requests that wait for the end of a job ask twice a second: `read` would send the whole jobs.
-- KEYS  prefix
-- ARGV  ids
-- RETURN the state of each job; '' = unknown id

local out = {}
for i, id in ipairs(ARGV) do out[i] = redis.call('HGET', F.job .. id, 'state') or '' end
return out
