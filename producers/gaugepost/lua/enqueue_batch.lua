-- Store jobs of which one or more belong to a batch. Otherwise as enqueue.lua, whose keys, arguments and answer it has. A script of
-- its own, because Redis creates all functions of a script at each call: jobs without a batch do not pay for those of batches.
-- WITH  store_jobs, batch_arrivals

return store_jobs({refusal = canaries_error, join = join_batch, tally = tally_new})
