"""Failed runs that are queued again by hand: what they finished is kept, and what failed is put aside.

Which step failed is known only to the pass that saw its error leave the workflow's code: a record may hold failed steps
that the code has dealt with, and those are no reason to do anything again. So the pass writes what a retry would put
aside into the run's error, and here it is turned into the same marker by which a workflow's own policy retries.
"""

from __future__ import annotations

from typing import Any

from pydantic_core import from_json
from sqlalchemy import Connection, func, insert, or_, select, update

from aiki_celery.errors import RunError, RunNotFound
from aiki_celery.journal.connections import Connections
from aiki_celery.journal.dialect import db_now
from aiki_celery.journal.envelopes import ENVELOPE_COLUMNS, envelope
from aiki_celery.journal.family.cascade import ITS_PARENT_IS_CANCELLED, ITS_PARENT_IS_OVER
from aiki_celery.journal.queueing import queued_again
from aiki_celery.journal.schema import Schema
from aiki_celery.model.clock import MICROSECOND
from aiki_celery.model.records import Envelope
from aiki_celery.model.status import RunStatus, StepKind, StepStatus

#: The field of a recorded error that says what a retry puts aside.
ASIDE = "aside"

#: The field that names the marker of that retry, where it has a name of its own.
MARKER = "marker"


class SecondChances:
    """Queues failed runs again.

    Args:
        connections: The database.
        schema: The tables.
        redelivery_after: Seconds after which a run that nobody took is published again.
    """

    def __init__(self, connections: Connections, schema: Schema, redelivery_after: float) -> None:
        self._connections = connections
        self._runs, self._steps = schema.runs, schema.steps
        self._gap = int(redelivery_after * MICROSECOND)

    def retry(self, run_id: str) -> Envelope | None:
        """Queue a failed run again, with a marker that puts aside what failed.

        Returns:
            What its message is made from; None if an earlier try was committed, its answer lost, and somebody has
            taken the run since.

        Raises:
            RunNotFound: There is no run with this id.
            RunError: It has not failed, or belongs to a run that does not wait for it any more.
        """
        tries = 0

        def work() -> Envelope | None:
            nonlocal tries
            tries += 1
            with self._connections.transaction() as connection:
                run = connection.execute(self._look(run_id)).first()
                if run is None:
                    raise RunNotFound(run_id)
                if run.status != RunStatus.FAILED.value:
                    if tries > 1:
                        return envelope(run) if run.status == RunStatus.QUEUED.value else None
                    raise RunError(
                        f"Run {run_id} is {run.status}; only a failed run can be retried. "
                        "A stalled one is requeued; any can be forked."
                    )
                if run.parent_id is not None:
                    raise RunError(
                        f"Run {run_id} was started by run {run.parent_id}, which has had its outcome. Retry that one."
                    )
                if run.followers:
                    raise RunError(
                        f"Run {run_id} was found by its reference id by {run.followers} other run(s), which have had "
                        "its outcome. Retry those of them that failed, or start it anew under another reference id."
                    )
                self._queue(connection, run_id, run)
                return envelope(run)

        return self._connections.retrying(work)

    def _look(self, run_id: str) -> Any:
        runs = self._runs
        facts = (
            runs.c.status,
            runs.c.parent_id,
            runs.c.followers,
            runs.c.error,
            runs.c.attempt,
            runs.c.epoch,
            runs.c.created_at,
        )
        columns = [runs.c[name] for name in ENVELOPE_COLUMNS]
        return select(*columns, *facts).where(runs.c.id == run_id).with_for_update()

    def _ended_with(self, connection: Connection, run_id: str) -> set[int]:
        """Give the places of what was cancelled because the run had ended: it is started again.

        So is what was asked to end, and has not come to that; and what a cancel of the run has ended that its code had
        not been told of when it failed.
        """
        runs, steps = self._runs, self._steps
        reasons = (ITS_PARENT_IS_OVER, ITS_PARENT_IS_CANCELLED)
        cancelled = (
            select(steps.c.seq)
            .select_from(steps.join(runs, runs.c.id == steps.c.child_id))
            .where(
                steps.c.run_id == run_id,
                steps.c.kind.in_((StepKind.CHILD.value, StepKind.LAUNCH.value)),
                runs.c.status.not_in([RunStatus.COMPLETED.value, RunStatus.FAILED.value]),
                # Of those that were cancelled before there was a column for it, the reason is at hand.
                or_(runs.c.cancel_reason.in_(reasons), runs.c.reason.in_(reasons)),
            )
        )
        markers = select(steps.c.value).where(steps.c.run_id == run_id, steps.c.kind == StepKind.RETRY.value)
        before: set[int] = set()
        for (marker,) in connection.execute(markers):
            places, _, reached = (marker or "").partition(";")
            before |= {int(place) for place in places.split(",")} if reached else set()
        return {int(row.seq) for row in connection.execute(cancelled)} - before

    def _queue(self, connection: Connection, run_id: str, run: Any) -> None:
        runs, steps = self._runs, self._steps
        base = select(runs.c.base_seq).where(runs.c.id == run_id).scalar_subquery()
        last = select(func.coalesce(func.max(steps.c.seq), base)).where(steps.c.run_id == run_id)
        place = int(connection.execute(last).scalar_one()) + 1
        failure = from_json(run.error or "{}")
        put_aside = failure.get(ASIDE) or str(place)
        put_aside = with_places(put_aside, self._ended_with(connection, run_id))
        connection.execute(
            insert(steps).values(
                run_id=run_id,
                seq=place,
                kind=StepKind.RETRY.value,
                name=failure.get(MARKER) or "retry",
                address="retry",
                status=StepStatus.FAILED.value,
                attempt=run.attempt,
                epoch=run.epoch,
                started_at=run.created_at,
                finished_at=db_now(),
                input=run.error,
                value=put_aside,
            )
        )
        connection.execute(
            update(runs)
            .where(runs.c.id == run_id)
            .values(
                **queued_again(runs, "retried by hand", self._gap),
                error=None,
                control=None,
                cancel_reason=None,
                cancelled_at=None,
                settlement=None,
                owner=None,
                owner_pid=None,
                claim_token=None,
                attempt=run.attempt + 1,
                recoveries=0,
                finished_at=None,
            )
        )


def with_places(put_aside: str, places: set[int]) -> str:
    """Give what a retry puts aside, and the starts at these places too."""
    if not places:
        return put_aside
    value, at, began = put_aside.partition("@")
    failed, _, reached = value.partition(";")
    if not reached:
        # Everything from a place on is what lies beyond the one before it.
        failed, reached = "", str(int(failed) - 1)
    kept = {int(place) for place in failed.split(",") if place} | {
        place for place in places if place <= int(reached)
    }
    if not kept:
        return put_aside
    return f"{','.join(map(str, sorted(kept)))};{reached}{at}{began}"
