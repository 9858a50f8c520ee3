"""Pausing, resuming and waking runs, from outside: each in one transaction, under the lock of the run's row."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, insert, literal, select

from aiki_celery.errors import RunFinished, WrongState
from aiki_celery.journal.asked import PAUSE
from aiki_celery.journal.control.cancels import Acknowledged, Control
from aiki_celery.journal.envelopes import envelope
from aiki_celery.journal.history import appended
from aiki_celery.journal.queueing import queued_again
from aiki_celery.journal.schema import Schema
from aiki_celery.model.clock import MICROSECOND
from aiki_celery.model.records import Envelope
from aiki_celery.model.status import RunKind, RunStatus, StepKind, StepStatus

_WOKEN = "woken by hand"


class ControlMoves:
    """Pauses, resumes and wakes runs.

    Args:
        control: Locks and changes runs.
        schema: The tables.
        redelivery_after: Seconds after which a run that nobody took is published again.
    """

    def __init__(self, control: Control, schema: Schema, redelivery_after: float) -> None:
        self._control = control
        self._runs, self._steps = schema.runs, schema.steps
        self._gap = int(redelivery_after * MICROSECOND)

    def pause(self, run_id: str) -> Acknowledged:
        """Pause a run: at once if nobody holds it, else at its next write.

        Raises:
            RunNotFound: There is no run with this id.
            RunFinished: It is over.
            WrongState: It is stalled, being cancelled, or no workflow's.
        """

        def work(connection: Connection, is_again: bool) -> Acknowledged:
            run = self._live(connection, run_id)
            self._refuse_to_pause(run)
            if run.status == RunStatus.PAUSED.value or run.control == PAUSE:
                return Acknowledged(is_again, run.workflow)
            if run.status == RunStatus.RUNNING.value:
                self._control.change(connection, run_id, {"control": PAUSE})
                return Acknowledged(True, run.workflow)
            # The time from which a delayed run may start is kept; other waits are worked out anew.
            due_at = run.due_at if run.status == RunStatus.SCHEDULED.value else None
            history = appended(self._runs.c.history, RunStatus.PAUSED, literal("paused by hand"))
            values = {"status": RunStatus.PAUSED.value, "reason": None, "due_at": due_at, "history": history}
            self._control.change(connection, run_id, values)
            return Acknowledged(True, run.workflow)

        return self._control.retrying(work)

    def resume(self, run_id: str) -> Acknowledged:
        """Let a paused run go on: it is queued, or waits for its start again.

        Raises:
            RunNotFound: There is no run with this id.
            RunFinished: It is over.
            WrongState: It is stalled.
        """

        def work(connection: Connection, is_again: bool) -> Acknowledged:
            run = self._live(connection, run_id)
            if run.status == RunStatus.STALLED.value:
                raise WrongState(
                    run_id, run.status, "it was not paused. Mend what stalled it, and requeue it."
                )
            if run.control == PAUSE:
                self._control.change(connection, run_id, {"control": None})
                return Acknowledged(True, run.workflow)
            if run.status != RunStatus.PAUSED.value:
                again = [envelope(run)] if is_again and run.status == RunStatus.QUEUED.value else []
                return Acknowledged(is_again, run.workflow, again)
            if run.due_at is not None and run.due_at > run.now:
                history = appended(self._runs.c.history, RunStatus.SCHEDULED, literal("resumed by hand"))
                values = {"status": RunStatus.SCHEDULED.value, "history": history}
                self._control.change(connection, run_id, values)
                return Acknowledged(True, run.workflow)
            return Acknowledged(True, run.workflow, self._queue(connection, run, "resumed by hand"))

        return self._control.retrying(work)

    def wake(self, run_id: str) -> Acknowledged:
        """End a run's sleep before its time.

        Raises:
            RunNotFound: There is no run with this id.
            RunFinished: It is over.
            WrongState: It does not sleep.
        """

        def work(connection: Connection, is_again: bool) -> Acknowledged:
            run = self._live(connection, run_id)
            last = self._last_step(connection, run_id)
            if is_again and last is not None and last.kind == StepKind.WAKE.value:
                again = [envelope(run)] if run.status == RunStatus.QUEUED.value else []
                return Acknowledged(True, run.workflow, again)
            if run.status != RunStatus.SLEEPING.value or last is None:
                raise WrongState(run_id, run.status, "only a sleeping run can be woken.")
            self._insert_wake(connection, run, last)
            return Acknowledged(True, run.workflow, self._queue(connection, run, _WOKEN))

        return self._control.retrying(work)

    def _live(self, connection: Connection, run_id: str) -> Row[Any]:
        run = self._control.lock(connection, run_id)
        if RunStatus(run.status).is_terminal:
            raise RunFinished(run_id, run.status)
        return run

    def _refuse_to_pause(self, run: Row[Any]) -> None:
        if run.kind != RunKind.WORKFLOW.value:
            detail = f"a started step cannot be paused. Pause run {run.parent_id}, which has started it."
        elif run.status == RunStatus.STALLED.value:
            detail = "nothing goes on that could be paused."
        elif run.cancelled_at is not None:
            detail = "it is being cancelled, and its code cleans up; that cannot be paused."
        else:
            return
        raise WrongState(run.id, run.status, detail)

    def _queue(self, connection: Connection, run: Row[Any], why: str) -> list[Envelope]:
        self._control.change(connection, run.id, queued_again(self._runs, why, self._gap))
        return [envelope(run)]

    def _last_step(
        self, connection: Connection, run_id: str, kind: StepKind | None = None
    ) -> Row[Any] | None:
        steps = self._steps
        query = select(steps).where(steps.c.run_id == run_id).order_by(steps.c.seq.desc()).limit(1)
        return connection.execute(query if kind is None else query.where(steps.c.kind == kind.value)).first()

    def _insert_wake(self, connection: Connection, run: Row[Any], last: Row[Any]) -> None:
        """Record the end of a sleep behind its beginning: in a fork, what it has started again may lie between."""
        is_sleep = last.kind == StepKind.SLEEP.value
        sleep = last if is_sleep else self._last_step(connection, run.id, StepKind.SLEEP)
        assert sleep is not None, "a run that sleeps has recorded that"
        connection.execute(
            insert(self._steps).values(
                run_id=run.id,
                seq=last.seq + 1,
                kind=StepKind.WAKE.value,
                name=sleep.name,
                address=sleep.address,
                status=StepStatus.COMPLETED.value,
                attempt=sleep.attempt,
                epoch=run.epoch,
                started_at=sleep.started_at,
                finished_at=run.now,
                value=str(sleep.seq),
            )
        )
