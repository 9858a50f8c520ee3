"""Workflows on Celery: compiled tasks, messages, the worker's bootstep, the embedded broker."""
