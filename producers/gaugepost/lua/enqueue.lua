-- Store jobs, all or none: hash, idempotency key, lane, ready list and bell in one step, so that no stored job lacks a bell.
-- A repeated call with the same ids changes nothing.
-- WITH  store_jobs
-- KEYS  prefix, queue, urgent queue
-- ARGV  backlog limit, limit of content bytes, life of an idempotency key in ms, '1' = store nothing if one job conflicts;
--       then for each job: id; JSON; kind and configuration ('' = its JSON is short: entry.py); a JSON object of texts ('' =
--       empty) with those it has of urgent ('1'), once ('1'), lane, idem (digest of its idempotency key), same (hashes of its
--       content, separated by blanks: encryption.py), expires (ms), due (ms: its deliver_at), source, batch and canary
--       (batch_arrivals.lua, if the call asks for one); content of a file ('' = none); its id as 16 bytes, then the hashes of
--       its references (lib/arrivals.lua)
-- RETURN for each job: state ('' = not stored), id of the earlier job with its idempotency key ('' = none), '1' if that job
--        has other content: a conflict; or an error BACKLOGFULL, CONTENTFULL or BATCHCONFLICT, and nothing is stored

return store_jobs()
