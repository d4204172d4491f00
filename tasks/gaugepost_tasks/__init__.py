"""What a job does at its endpoint: without input and output but for `http`; knows no Celery and no Redis."""
