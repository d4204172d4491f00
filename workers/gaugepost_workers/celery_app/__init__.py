"""The Celery app: its tasks, its transport and the filter of its messages."""
