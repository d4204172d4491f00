-- WITH jobs, holds: which failed requests opened a hold, for people. A hold has `opened`: failures (how many requests
-- counted), beside (how many more one of them explains), first (when that was known, ms), requests (the last of them); then
-- `failed`, how many of its probes failed, and `last`, the last of these. A request is verdict, at (ms), and as known
-- status, job, kind, configuration, endpoint.

local REQUESTS = 8

-- Complete what a worker says of a request that failed.
local function failed_request(request, job)
  request.at, request.job = now, job and job.id
  return request
end

-- Add a request to those that opened a hold, or will.
local function add_request(opened, request)
  opened.failures, opened.first = (opened.failures or 0) + 1, opened.first or now
  opened.requests = opened.requests or {}
  opened.requests[#opened.requests + 1] = request
  if #opened.requests > REQUESTS then table.remove(opened.requests, 1) end
  return opened
end

local function note_failure(hold, request)
  hold.failed, hold.last = (hold.failed or 0) + 1, request
end
