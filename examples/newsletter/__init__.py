"""Celery tasks that were there before, started by a workflow."""
