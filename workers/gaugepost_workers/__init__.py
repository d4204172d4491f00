"""Runs jobs: the Celery app, the dispatcher, deliveries, tokens and beat."""
