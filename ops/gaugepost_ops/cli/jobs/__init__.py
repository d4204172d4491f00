"""Commands that enqueue, show, cancel, replay and settle jobs."""
