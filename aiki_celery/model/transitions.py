"""The one table of a run's transitions. Every statement that moves a run takes its allowed sources from here."""

from __future__ import annotations

from aiki_celery.model.status import RunStatus as S

#: From each state, the states a run may go to.
TRANSITIONS: dict[S, frozenset[S]] = {
    S.SCHEDULED: frozenset({S.QUEUED, S.RUNNING, S.PAUSED, S.CANCELLED}),
    # To the end at once: a Celery task that a worker without this package has done.
    S.QUEUED: frozenset({S.RUNNING, S.PAUSED, S.STALLED, S.COMPLETED, S.FAILED, S.CANCELLED}),
    S.RUNNING: frozenset(
        {
            S.QUEUED,
            S.SLEEPING,
            S.AWAITING_EVENT,
            S.AWAITING_RETRY,
            S.AWAITING_STEPS,
            S.PAUSED,
            S.STALLED,
            S.COMPLETED,
            S.FAILED,
            S.CANCELLED,
        }
    ),
    S.SLEEPING: frozenset({S.QUEUED, S.RUNNING, S.PAUSED, S.CANCELLED}),
    S.AWAITING_EVENT: frozenset({S.QUEUED, S.RUNNING, S.PAUSED, S.CANCELLED}),
    S.AWAITING_RETRY: frozenset({S.QUEUED, S.RUNNING, S.PAUSED, S.COMPLETED, S.FAILED, S.CANCELLED}),
    S.AWAITING_STEPS: frozenset({S.QUEUED, S.RUNNING, S.PAUSED, S.CANCELLED}),
    # Back to being scheduled: one that was paused before its time, and resumed before it too.
    S.PAUSED: frozenset({S.QUEUED, S.SCHEDULED, S.CANCELLED}),
    S.STALLED: frozenset({S.QUEUED, S.COMPLETED, S.FAILED, S.CANCELLED}),
    S.COMPLETED: frozenset(),
    S.FAILED: frozenset({S.QUEUED}),
    S.CANCELLED: frozenset(),
}


def sources_of(target: S) -> tuple[S, ...]:
    """Give the states from which a run may go to ``target``, in declaration order."""
    return tuple(source for source in S if target in TRANSITIONS[source])


def is_allowed(source: S, target: S) -> bool:
    """Tell whether a run may go from ``source`` to ``target``."""
    return target in TRANSITIONS[source]
