"""What one pass of a run writes: its records as it goes, and at the end how it was settled.

Every write carries the epoch of the claim and is refused when the run has been taken over since. The fence reads the
run's row under a shared lock, so a claim and a late write of its predecessor can not slip past one another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, IntegrityError

from aiki_celery.errors import ClaimLost
from aiki_celery.journal.asked import ControlAsked, refused
from aiki_celery.journal.dialect import is_transient
from aiki_celery.journal.driver_cursor import DriverCursor
from aiki_celery.journal.family.endings import Endings, Followed
from aiki_celery.journal.history import PAGE, clean
from aiki_celery.journal.pass_statements import PassStatements, fence_of, refusal
from aiki_celery.journal.statement import Statement
from aiki_celery.model.records import Claim, Envelope, StepRecord
from aiki_celery.model.status import RunStatus


class JournalPass:
    """One claim's writes, over one connection held for the whole pass.

    Args:
        statements: The statements.
        endings: Ends runs within their family.
        claim: The claim whose epoch fences the writes.
    """

    def __init__(self, statements: PassStatements, endings: Endings, claim: Claim) -> None:
        self._s = statements
        self._endings = endings
        self._claim = claim
        self._fence = fence_of(claim)
        self._connection: Connection | None = None
        self._cursor: DriverCursor | None = None

    def append(self, step: StepRecord) -> None:
        """Write one record.

        Raises:
            ControlAsked: The run is asked to pause or to end.
            ClaimLost: The run has been taken over; nothing was written.
            JournalUnavailable: The database could not be reached for too long; it may have been written.
        """
        arranged = self._s.append.arranged(self._row(step) | self._fence)

        def work() -> None:
            try:
                if not self._appended(arranged):
                    raise self._why_refused(self._held())
            except IntegrityError:
                if not self._is_ours(self._held(), step):
                    raise ClaimLost(self._refusal()) from None
            except DBAPIError as error:
                if is_transient(error):
                    self.close()
                raise

        self._s.connections.retrying(work)

    def park(
        self,
        status: RunStatus,
        steps: Sequence[StepRecord],
        *,
        due_at: int,
        why: str,
        attempt: int,
    ) -> None:
        """Settle the run as waiting until ``due_at`` and write the records that belong to it, in one transaction.

        Raises:
            ControlAsked: The run is asked to pause or to end; nothing was written.
            ClaimLost: The run has been taken over; nothing was written.
        """
        parameters = {"wake_at": due_at, "why": clean(why), "note": clean(why), "try": attempt}
        self._settle(self._s.park[status], status, parameters, steps)

    def hand_over(self, why: str) -> None:
        """Queue the run again, for whoever takes it next.

        Raises:
            ClaimLost: The run has been taken over; nothing was written.
        """
        self._settle(self._s.hand_over, RunStatus.QUEUED, {"why": clean(why)}, ())

    def finish(
        self,
        status: RunStatus,
        *,
        output: str | None = None,
        error: str | None = None,
        why: str,
        told: bool,
        closes: bool = False,
    ) -> list[Envelope]:
        """Record the run's outcome, tell who waits for it, and cancel the children that end with it.

        Args:
            status: Terminal state, or ``stalled``.
            output: Result as JSON text.
            error: Error as JSON text.
            why: Line for the history.
            told: Whether nobody outside has to be told; else the run stays ours until that is confirmed.
            closes: Whether the run may have children that end with it.

        Returns:
            What the messages of those runs are made from that waited for this one.

        Raises:
            ClaimLost: The run has been taken over; nothing was written.
        """
        note = clean(why) if status is not RunStatus.COMPLETED else None
        parameters = {"result": output, "failure": error, "why": clean(why), "note": note}
        if status is RunStatus.STALLED:
            self._settle(self._s.stall, status, parameters, ())
            return []
        if self._claim.parent_id is None and not closes:
            try:
                self._settle(self._s.finish[status, told], status, parameters | {"followers": 0}, ())
                return []
            except Followed:
                pass
        return self._endings.end(self._claim, status, told, parameters, closes=closes)

    def report(self, details: str) -> None:
        """Write what a step says of its progress; may be called from any thread.

        Raises:
            ControlAsked: The run is asked to end.
            ClaimLost: The run has been taken over; nothing was written.
        """

        def work() -> None:
            with self._s.connections.relaxed() as connection:
                if self._s.report.run(connection, **self._fence, report=details).rowcount == 0:
                    raise self._why_refused(connection)

        self._s.connections.retrying(work)

    def look(self) -> None:
        """Make sure that the pass may go on.

        Raises:
            ControlAsked: The run is asked to pause or to end.
            ClaimLost: The run has been taken over.
        """

        def work() -> None:
            with self._s.connections.autocommit() as connection:
                why = self._why_refused(connection)
            if not isinstance(why, ControlAsked) or why.control is not None:
                raise why

        self._s.connections.retrying(work)

    def close(self) -> None:
        """Give the connection back."""
        connection, self._connection, self._cursor = self._connection, None, None
        if connection is not None:
            self._s.connections.give_back(connection)

    def _settle(
        self, statement: Statement, status: RunStatus, parameters: dict[str, Any], steps: Sequence[StepRecord]
    ) -> None:
        fence = self._fence
        turn_page = status not in _LAST and self._claim.history_length > PAGE

        def work() -> None:
            if not steps and not turn_page:
                self._settle_on(self._held(), statement, status, parameters | fence)
                return
            with self._s.connections.transaction() as connection:
                if turn_page:
                    self._s.turn_page.run(connection, **fence)
                    self._s.clear_page.run(connection, **fence)
                if self._settle_on(connection, statement, status, parameters | fence):
                    for step in steps:
                        self._s.insert.run(connection, **self._row(step))

        def work_once() -> None:
            try:
                work()
            except DBAPIError as error:
                if is_transient(error):
                    self.close()
                raise

        self._s.connections.retrying(work_once)

    def _settle_on(
        self, connection: Connection, statement: Statement, status: RunStatus, parameters: dict[str, Any]
    ) -> bool:
        """Move the run; tell whether this try did it, not an earlier one that was committed and its answer lost."""
        if statement.run(connection, **parameters).rowcount == 1:
            return True
        self._endings.check_settled(connection, self._claim, status)
        return False

    def _appended(self, arranged: Any) -> bool:
        """Try to write a record; tell whether the fence let it pass."""
        held, statement = self._held(), self._s.append
        if self._cursor is None:
            self._cursor = DriverCursor(held)
        if self._cursor.wrote_one(statement, arranged):
            return True
        return statement.run_arranged(held, arranged).rowcount == 1

    def _held(self) -> Connection:
        if self._connection is None or self._connection.closed or self._connection.invalidated:
            self.close()
            self._connection = self._s.connections.take()
        return self._connection

    def _is_ours(self, connection: Connection, step: StepRecord) -> bool:
        """Tell whether the record in our place is the one an earlier try of ours wrote."""
        found = self._s.written.run(connection, run_id=self._claim.run_id, seq=step.seq).first()
        return found is not None and (
            (found.epoch, found.address, found.finished_at, found.kind)
            == (step.epoch, step.address, step.finished_at, step.kind.value)
        )

    def _row(self, step: StepRecord) -> dict[str, Any]:
        row = step._asdict()
        row.update(run_id=self._claim.run_id, kind=step.kind.value, status=step.status.value)
        return row

    def _why_refused(self, connection: Connection) -> ControlAsked | ClaimLost:
        return refused(self._claim, self._s.state.run(connection, run=self._claim.run_id).first())

    def _refusal(self) -> str:
        return refusal(self._claim)


_LAST = frozenset({RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.STALLED})
