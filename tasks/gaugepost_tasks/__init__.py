"""What a job does at its endpoint. Only `http` does input and output; no module imports Celery or Redis."""
