-- Jobs that wait for their deliver_at: parked with the reason `scheduled`.

-- Return the member of a job in `scheduled`: jobs that are due at the same time leave in the order of their stamps.
local function scheduled_member(at, id) return at .. ':' .. id end
