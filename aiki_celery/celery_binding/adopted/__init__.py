"""Existing Celery tasks as steps of workflows."""
