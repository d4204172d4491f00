"""gaugepost: jobs for CustomerGauge, enqueued on Redis and delivered by Celery workers.

This package is what services install: it needs redis and pydantic only.
"""
