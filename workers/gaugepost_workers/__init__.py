"""What runs the jobs: the Celery app, the executor, tokens and beat."""
