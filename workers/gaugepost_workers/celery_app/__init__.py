"""The Celery app of a worker: its tasks, its Redis transport and its message filter."""
