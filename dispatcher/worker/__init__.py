"""Celery workers and the supervisor."""
