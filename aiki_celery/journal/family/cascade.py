"""What ends with a run, when that ends or is cancelled: what it has started, and what those have started.

A started step is cancelled at once, and so is a child whose code has never begun. A child that has begun is asked to
end, like the run itself: its own code cleans up. Rows are locked from the top of the family down, level by level.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, and_, case, literal, null, or_, select, update

from aiki_celery.journal.asked import CANCEL
from aiki_celery.journal.batches import batches
from aiki_celery.journal.dialect import db_now
from aiki_celery.journal.envelopes import ENVELOPE_COLUMNS, envelope
from aiki_celery.journal.history import appended, clean
from aiki_celery.journal.queueing import queued_again
from aiki_celery.model.records import Envelope
from aiki_celery.model.status import RunKind, RunStatus

if TYPE_CHECKING:
    from aiki_celery.journal.family.followers import Followers

#: Reason of a run that was cancelled because the one that had started it ended.
ITS_PARENT_IS_OVER = "its parent is over"

#: Reason of a run that was cancelled because the one that had started it was.
ITS_PARENT_IS_CANCELLED = "who started it was cancelled"

#: States in which nobody holds a run that has been asked to end and no message about it is on its way.
_AT_REST = frozenset(status.value for status in RunStatus) - {
    RunStatus.RUNNING.value,
    RunStatus.QUEUED.value,
}


_FACTS = ("status", "epoch", "cancelled_at", "children", "followers", "parent_seq")


def cancel_below(
    connection: Connection,
    followers: Followers,
    runs: Any,
    run_id: str,
    *,
    reason: str,
    gap: int,
    with_steps: bool,
) -> list[Envelope]:
    """Within the transaction that ends or cancels a run: cancel what ends with it, and all that those have started.

    Args:
        connection: The transaction, which has locked the run.
        followers: Tells who follows what is found, and tells those of what is cancelled at once.
        runs: The table.
        run_id: The run.
        reason: Why, for those that the run itself has started.
        gap: Microseconds after which a run that nobody took is published again.
        with_steps: Whether started steps end too. They go on if the run came to its end by itself.

    Returns:
        What the messages of those runs are made from that go on because of it.
    """
    going_on: list[Envelope] = []
    steps_too, parents, why = with_steps, [run_id], reason
    while parents:
        live = [
            row for some in batches(parents) for row in connection.execute(_live(runs, some, steps_too)).all()
        ]
        ties = followers.of(connection, [row.id for row in live if row.followers])
        forks = followers.live_forks(
            connection, {run_id for row in live for run_id in _in_its_place(row, ties)}
        )
        found = [row for row in live if forks.isdisjoint(_in_its_place(row, ties))]
        at_once = [row for row in found if ends_at_once(row)]
        asked = [row for row in found if not ends_at_once(row) and row.cancelled_at is None]
        at_rest = [row for row in asked if row.status in _AT_REST]
        held = [row for row in asked if row.status not in _AT_REST]
        for rows, values in (
            (at_once, cancelled(runs, why)),
            (held, asked_to_end(why)),
            (at_rest, asked_to_end(why) | queued_to_end(runs, why, gap)),
        ):
            for ids in batches([row.id for row in rows]):
                connection.execute(update(runs).where(runs.c.id.in_(ids)).values(**values))
        going_on += [envelope(row) for row in at_rest]
        going_on += followers.count_off(connection, [tie for row in at_once for tie in ties.get(row.id, ())])
        parents = [row.id for row in (*at_once, *asked) if row.children]
        steps_too, why = True, ITS_PARENT_IS_CANCELLED
    return going_on


def ends_at_once(run: Any) -> bool:
    """Tell whether a run has no code that could clean up: it is no workflow's, or it has never begun."""
    return bool(run.kind != RunKind.WORKFLOW.value or run.epoch == 0)


def cancelled(runs: Any, why: str) -> dict[str, Any]:
    """Give what a run is set to that is cancelled at once. Whoever is at it finds its writes refused."""
    return {
        "status": RunStatus.CANCELLED.value,
        # Nobody's pass tells Celery of it: a sweep sees to that. What has a parent was sent for nobody else.
        "settlement": case((_is_told_outside(runs), "pending"), else_=null()),
        "reason": why,
        "cancel_reason": why,
        "cancelled_at": db_now(),
        "control": None,
        "finished_at": db_now(),
        "due_at": None,
        "deadline_at": None,
        "on_close": None,
        "owner": None,
        "owner_pid": None,
        "claim_token": None,
        "history": appended(runs.c.history, RunStatus.CANCELLED, literal(clean(why))),
    }


def _is_told_outside(runs: Any) -> Any:
    return and_(runs.c.kind == RunKind.WORKFLOW.value, runs.c.parent_id.is_(None))


def asked_to_end(why: str) -> dict[str, Any]:
    """Give what a run is set to that is asked to end, whoever holds it."""
    return {"control": CANCEL, "cancel_reason": why, "cancelled_at": db_now()}


def queued_to_end(runs: Any, why: str, gap: int) -> dict[str, Any]:
    """Give what a run that nobody holds is set to besides, so that its code can clean up."""
    note = f"to be cancelled: {why}" if why else "to be cancelled"
    return queued_again(runs, note, gap) | {"error": None, "recoveries": 0}


def _live(runs: Any, parents: Sequence[str], steps_too: bool) -> Any:
    ends_with_it: Any = runs.c.on_close == "cancel"
    if steps_too:
        ends_with_it = or_(runs.c.on_close.is_not(None), runs.c.kind != RunKind.WORKFLOW.value)
    return (
        select(*(runs.c[name] for name in (*ENVELOPE_COLUMNS, *_FACTS)))
        .where(runs.c.parent_id.in_(parents), ends_with_it, runs.c.finished_at.is_(None))
        .order_by(runs.c.id)
        .with_for_update()
    )


def _in_its_place(run: Any, ties: Mapping[str, Sequence[Any]]) -> set[str]:
    """Give who waits for a run at the place at which that was started.

    A fork of the run that has started it has copied the start, and may take that one's place: it waits for the run as
    its own. A run that has found it by its reference id has a place of its own.
    """
    return {tie.parent_id for tie in ties.get(run.id, ()) if tie.parent_seq == run.parent_seq}
