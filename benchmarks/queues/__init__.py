"""One module for each target: how it enqueues the job, and what its workers do."""
