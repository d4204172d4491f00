"""What a job does at its endpoint: sans I/O but for `http.py`; knows no Celery and no Redis."""
