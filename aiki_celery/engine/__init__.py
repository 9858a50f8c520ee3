"""The life of a run: replay, steps, retries, suspension, sweeps. No Celery, no SQL."""
