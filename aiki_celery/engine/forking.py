"""Forking: a new run that begins with what another one has recorded up to a place."""

from __future__ import annotations

from aiki_celery.definitions.options import StartOptions
from aiki_celery.engine.fork_plan import Wish, plan_fork
from aiki_celery.engine.lifecycle import Lifecycle
from aiki_celery.errors import WrongState
from aiki_celery.journal.forks import OriginChanged
from aiki_celery.journal.journal import Journal
from aiki_celery.model.events import RunEnqueued, RunEnqueuing
from aiki_celery.model.ids import new_run_id
from aiki_celery.model.records import Envelope

#: How often a plan is made anew when the origin has changed under it.
TRIES = 100


def fork(journal: Journal, run_id: str, wish: Wish, hooks: Lifecycle | None = None) -> Envelope:
    """Write a fork of a run, and give what its message is made from.

    Args:
        journal: Where runs are recorded.
        run_id: The run.
        wish: What is wanted.
        hooks: Who is told of lifecycle events.

    Raises:
        RunNotFound: There is no such run.
        WrongState: It is no run of a workflow.
        InputInvalid: There is no such step or version, or the input does not fit that version; nothing was written.
        ReferenceConflict: The reference id is taken; nothing was written.
    """
    new_id, origin = new_run_id(), journal.views.get(run_id)
    StartOptions().updated(origin.workflow, reference_id=wish.reference_id)
    plan = plan_fork(journal, origin, new_id, wish)
    if hooks:
        hooks.emit(RunEnqueuing(new_id, origin.workflow))
    for left in reversed(range(TRIES)):
        try:
            new = journal.forks.fork(plan)
            break
        except OriginChanged:
            if not left:
                detail = "it has changed again and again while it was to be forked; try once more"
                raise WrongState(run_id, origin.status, detail) from None
            plan = plan_fork(journal, journal.views.get(run_id), new_id, wish)
    if hooks:
        hooks.emit(RunEnqueued(new_id, origin.workflow))
    return new
