-- The failed requests that opened a hold, for people.
-- `opened` of a hold has: failures (number of counted requests), beside (further requests that failed at the same time),
-- first (when the first failure was recorded, ms), requests (the last of them). `failed` is the number of failed probes, and
-- `last` the last of them. A request has verdict and at (ms), and if known status, job, kind, configuration, endpoint.

local REQUESTS = 8

-- Add time and job to a failed request that a worker reports.
local function complete_request(request, job)
  request.at, request.job = now, job and job.id
  return request
end

-- Add a request to those that open a hold.
local function add_request(opened, request)
  opened.failures, opened.first = (opened.failures or 0) + 1, opened.first or now
  opened.requests = opened.requests or {}
  opened.requests[#opened.requests + 1] = request
  if #opened.requests > REQUESTS then table.remove(opened.requests, 1) end
  return opened
end

-- Add the failed request of a probe to its hold.
local function note_failed_probe(hold, request)
  hold.failed, hold.last = (hold.failed or 0) + 1, request
end
