"""How a pass heeds what its run was asked for: it settles the run as paused, or records that it is being cancelled.

What the pass was about to write goes into the same transaction, so nothing that was finished is lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic_core import to_json
from sqlalchemy import Connection, bindparam, func, null, select, update

from aiki_celery.journal.asked import CANCEL, PAUSE, is_ours, refused
from aiki_celery.journal.connections import Connections
from aiki_celery.journal.dialect import small_number
from aiki_celery.journal.family.launches import Launches
from aiki_celery.journal.history import appended, clean
from aiki_celery.journal.pass_statements import PassStatements, fence_of, is_held
from aiki_celery.journal.schema import Schema
from aiki_celery.journal.statement import Statement
from aiki_celery.model.records import Claim, NewChild, StepRecord
from aiki_celery.model.status import RunStatus, StepKind, StepStatus

#: What the record of a cancel is called, and where it lies.
ADDRESS = "cancel"

_FIELDS = (*(name for name in StepRecord._fields if name != "input"),)


class Obedience:
    """Writes what a pass has been asked for.

    Args:
        connections: The database.
        schema: The tables.
        passes: The statements of passes.
        launches: Writes starts.
    """

    def __init__(
        self, connections: Connections, schema: Schema, passes: PassStatements, launches: Launches
    ) -> None:
        self._connections = connections
        self._passes = passes
        self._launches = launches
        runs, steps = schema.runs, schema.steps
        dialect = connections.engine.dialect
        self._pause = Statement(
            update(runs)
            .where(*is_held(runs), runs.c.control == PAUSE)
            .values(
                status=RunStatus.PAUSED.value,
                reason=null(),
                control=null(),
                due_at=null(),
                attempt=bindparam("try"),
                owner=null(),
                owner_pid=null(),
                claim_token=null(),
                history=appended(
                    runs.c.history, RunStatus.PAUSED, bindparam("why", type_=runs.c.history.type)
                ),
            ),
            dialect,
        )
        self._heed = Statement(
            update(runs).where(*is_held(runs), runs.c.control == CANCEL).values(control=null()), dialect
        )
        of_run: Any = bindparam("run")
        self._asked = Statement(
            select(runs.c.cancel_reason, runs.c.cancelled_at).where(runs.c.id == of_run), dialect
        )
        self._last = Statement(
            select(func.coalesce(func.max(steps.c.seq), 0)).where(steps.c.run_id == of_run), dialect
        )
        self._places = Statement(
            select(steps.c.seq).where(
                steps.c.run_id == of_run, steps.c.seq >= bindparam("first", type_=small_number())
            ),
            dialect,
        )
        self._noted = Statement(
            select(*(steps.c[name] for name in _FIELDS)).where(
                steps.c.run_id == of_run,
                steps.c.kind == StepKind.CANCEL.value,
                steps.c.epoch == bindparam("fence"),
            ),
            dialect,
        )

    def pause(self, claim: Claim, steps: Sequence[StepRecord], attempt: int, why: str) -> bool:
        """Settle the run as paused, and write what the pass had finished.

        Returns:
            Whether it is paused. If not, nobody asks for that any more, and nothing was written.

        Raises:
            ClaimLost: The run has been taken over; nothing was written.
        """

        def work() -> bool:
            with self._connections.transaction() as connection:
                paused = self._pause.run(connection, **fence_of(claim), **{"try": attempt, "why": clean(why)})
                if paused.rowcount != 1:
                    state = self._passes.state.run(connection, run=claim.run_id).first()
                    if is_ours(claim, state):
                        return False
                    if state is None or (state.status, state.epoch) != (RunStatus.PAUSED.value, claim.epoch):
                        raise refused(claim, state)
                    return True  # an earlier try was committed and its answer lost
                self._keep(connection, claim, steps)
                return True

        return self._connections.retrying(work)

    def cancel(
        self,
        claim: Claim,
        steps: Sequence[StepRecord],
        starts: Sequence[StepRecord],
        children: Sequence[NewChild],
        now: int,
    ) -> StepRecord | None:
        """Record that the run is being cancelled, after what the pass had finished. The pass goes on holding it.

        Args:
            claim: The claim.
            steps: What the pass had finished.
            starts: Starts that its code has come to; recorded as they are.
            children: The runs they make; written as cancelled, and nobody is sent a message.
            now: The instant, in microseconds, until which the pass has not known of it.

        Returns:
            The record; None if nobody asks for that any more, and then nothing was written.

        Raises:
            ClaimLost: The run has been taken over; nothing was written.
        """

        def work() -> StepRecord | None:
            with self._connections.transaction() as connection:
                if self._heed.run(connection, **fence_of(claim)).rowcount != 1:
                    return self._noted_before(connection, claim)
                self._keep(connection, claim, steps)
                self._keep_starts(connection, claim, starts, children)
                asked = self._asked.run(connection, run=claim.run_id).one()
                cancel = StepRecord(
                    seq=max(int(self._last.run(connection, run=claim.run_id).scalar_one()), claim.base_seq)
                    + 1,
                    kind=StepKind.CANCEL,
                    name=ADDRESS,
                    address=ADDRESS,
                    status=StepStatus.CANCELLED,
                    attempt=claim.attempt,
                    epoch=claim.epoch,
                    started_at=asked.cancelled_at,
                    finished_at=max(now, asked.cancelled_at),
                    value=to_json(asked.cancel_reason or "").decode(),
                )
                self._insert(connection, claim, cancel)
                return cancel

        return self._connections.retrying(work)

    def _noted_before(self, connection: Connection, claim: Claim) -> StepRecord | None:
        """After a refusal: give what an earlier try wrote, whose answer was lost, if one did."""
        state = self._passes.state.run(connection, run=claim.run_id).first()
        if not is_ours(claim, state):
            raise refused(claim, state)
        row = self._noted.run(connection, run=claim.run_id, fence=claim.epoch).first()
        if row is None:
            return None
        facts = {**row._mapping, "kind": StepKind.CANCEL, "status": StepStatus.CANCELLED}
        return StepRecord(**facts)

    def _keep(self, connection: Connection, claim: Claim, steps: Sequence[StepRecord]) -> None:
        """Write records, but for those that an earlier try of theirs has written, whose answer was lost."""
        there = self._there(connection, claim, steps)
        for step in steps:
            if step.seq not in there:
                self._insert(connection, claim, step)

    def _keep_starts(
        self,
        connection: Connection,
        claim: Claim,
        starts: Sequence[StepRecord],
        children: Sequence[NewChild],
    ) -> None:
        # They were written together or not at all.
        if starts and not self._there(connection, claim, starts):
            self._launches.grow(connection, claim, len(children))
            self._launches.write_cancelled(connection, claim, starts, children)

    def _there(self, connection: Connection, claim: Claim, steps: Sequence[StepRecord]) -> set[int]:
        if not steps:
            return set()
        first = min(step.seq for step in steps)
        return {row[0] for row in self._places.run(connection, run=claim.run_id, first=first)}

    def _insert(self, connection: Connection, claim: Claim, step: StepRecord) -> None:
        row: dict[str, Any] = step._asdict()
        row.update(run_id=claim.run_id, kind=step.kind.value, status=step.status.value)
        self._passes.insert.run(connection, **row)
