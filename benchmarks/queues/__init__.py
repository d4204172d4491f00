"""The contestants' own sides: how each one enqueues the job, and what its workers do. Each runs in its environment."""
