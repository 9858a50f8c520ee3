"""Takes runs away from owners that are gone, and queues them for others."""

from __future__ import annotations

import logging
from collections.abc import Collection

from aiki_celery.engine.sweeps.context import SweepContext
from aiki_celery.model.events import RunRecovered
from aiki_celery.model.records import Envelope
from aiki_celery.model.status import RunStatus

logger = logging.getLogger("aiki_celery.recovery")

#: A run that its own live worker does not have at hand is freed after this many seconds.
UNATTENDED_AFTER = 10.0


def sweep_dead_workers(context: SweepContext) -> int:
    """Free the runs of workers that have not been heard of for ``worker_ttl``; give how many."""
    ttl = context.settings.worker_ttl
    return _go_on(context, *context.journal.recovery.free_dead_workers(ttl, context.settings.batch_size))


def free_process(context: SweepContext, worker_id: str, pid: int) -> int:
    """Free the runs of a process of this worker that has died; give how many."""
    return _go_on(context, *context.journal.recovery.free_process(worker_id, pid))


def sweep_unattended(context: SweepContext, worker_id: str, held: Collection[str]) -> int:
    """Free runs that this worker owns but does not have at hand, say because the journal was away too long."""
    return _go_on(context, *context.journal.recovery.free_unattended(worker_id, held, UNATTENDED_AFTER))


def free_worker(context: SweepContext, worker_id: str) -> int:
    """Free every run of this worker, which is ending; give how many."""
    return _go_on(context, *context.journal.recovery.free_all(worker_id))


def sweep_unsettled(context: SweepContext) -> float | None:
    """Publish finished runs again whose callbacks nobody has confirmed and nobody is at.

    Returns:
        The seconds until one is due, None where there is none.
    """
    settlements = context.journal.settlements
    due_in = settlements.due_in()
    if due_in is None or due_in > 0:
        return due_in
    runs = settlements.take_unattended(context.settings.batch_size)
    if runs:
        context.publish(runs)
    return 0.0 if len(runs) == context.settings.batch_size else settlements.due_in()


def _go_on(context: SweepContext, queued: list[Envelope], stalled: list[Envelope]) -> int:
    for run in stalled:
        logger.error(
            "Run %s of %s is stalled (crash_loop): its worker died %d times in a row without progress. Mend the cause "
            "and requeue it.",
            run.run_id,
            run.definition,
            context.settings.max_recoveries,
        )
    if queued:
        logger.warning("Recovered %d run(s) whose owner is gone, %s first.", len(queued), queued[0].run_id)
        context.publish(queued)
    if context.hooks:
        for run in queued:
            context.hooks.emit(RunRecovered(run.run_id, run.workflow, RunStatus.QUEUED))
        for run in stalled:
            context.hooks.emit(RunRecovered(run.run_id, run.workflow, RunStatus.STALLED))
    return len(queued) + len(stalled)
