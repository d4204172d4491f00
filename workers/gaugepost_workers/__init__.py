"""What runs the jobs: the Celery app, the dispatcher, tokens and beat."""
