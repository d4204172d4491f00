-- Upload lanes: 'files' for the region, or 'files:<family>' if each family has its own. The keys of a lane (files, slot,
-- filing) end with the rest of its name.

-- Return whether a job is a file. A file with a phase was sent: a worker reads its statistics, which needs no slot.
local function is_file(job) return job.lane and string.sub(job.lane, 1, 5) == 'files' end

-- Return the end of the names of a lane's keys.
local function lane_suffix(lane) return string.sub(lane, 6) end

-- Return the score of a file in its lane: files that go first have negative scores.
local function lane_score(job) return job.first and whole(job.at - 1e16) or job.at end
