"""Queues runs whose time has come."""

from __future__ import annotations

from aiki_celery.engine.sweeps.context import SweepContext


def sweep_timers(context: SweepContext) -> float | None:
    """Queue and publish due runs, a batch at most, and settle started steps that took too long.

    Returns:
        Seconds until the next run is due, zero or less when more are due now, None when none waits for a time.
    """
    left = context.journal.timers.seconds_to_next()
    if left is None or left > 0:
        return left
    due = context.journal.timers.queue_due(context.definitions(), context.settings.batch_size)
    if due:
        context.publish(due)
    expired = context.journal.timers.expired(context.definitions(), context.settings.batch_size)
    settled = [run_id for run_id in expired if context.expire(run_id)]
    late = context.journal.deadlines.passed(context.settings.batch_size)
    for run_id in late:
        context.enforce_deadline(run_id)
    if due or settled or late:
        return 0.0
    # What is due belongs to definitions that this worker does not have.
    return None
