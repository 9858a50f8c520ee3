"""What a pass writes when its run starts others, and when it waits for them.

The start is recorded with the run that it makes, in one transaction: neither is ever there without the other.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from aiki_celery.journal.asked import refused
from aiki_celery.journal.connections import Connections
from aiki_celery.journal.family.launch_statements import LaunchStatements, awaited_columns
from aiki_celery.journal.family.outcomes import Outcomes
from aiki_celery.journal.history import PAGE, clean
from aiki_celery.journal.inbox.inbox import NO_EVENTS, Inbox, Wanted, fewer, write_wanted
from aiki_celery.journal.pass_statements import PassStatements, fence_of
from aiki_celery.journal.schema import Schema
from aiki_celery.journal.start_rows import child_row, start_row
from aiki_celery.model.records import Claim, NewChild, StepRecord
from aiki_celery.model.status import RunKind, RunStatus


class _NothingToWaitFor(Exception):
    """Enough of what was to be waited for is over: undo the waiting."""


class Launches:
    """Writes started runs, and the waits for them.

    Args:
        connections: The database.
        schema: The tables.
        redelivery_after: Seconds after which a run that nobody took is published again.
        passes: The statements of passes.
        outcomes: Reads what became of started runs.
        inbox: Reads what runs have received.
    """

    def __init__(
        self,
        connections: Connections,
        schema: Schema,
        redelivery_after: float,
        passes: PassStatements,
        outcomes: Outcomes,
        inbox: Inbox,
    ) -> None:
        self._connections = connections
        self._inbox = inbox
        self._passes = passes
        self._outcomes = outcomes
        self._s = LaunchStatements(connections, schema, redelivery_after)

    def launch(self, claim: Claim, steps: Sequence[StepRecord], children: Sequence[NewChild]) -> None:
        """Record that the run has started others, and write those.

        Raises:
            ControlAsked: The run is asked to pause or to end; nothing was written.
            ClaimLost: The run has been taken over; nothing was written.
        """

        def work() -> None:
            try:
                with self._connections.transaction() as connection:
                    self.grow(connection, claim, len(children))
                    self.write(connection, claim, steps, children)
            except IntegrityError:
                if not self._is_ours(claim, steps[0]):
                    raise  # else an earlier try was committed and its answer lost

        self._connections.retrying(work)

    def wait(
        self,
        claim: Claim,
        steps: Sequence[StepRecord],
        children: Sequence[NewChild],
        awaited: set[int],
        need: int,
        why: str,
        events: Wanted = NO_EVENTS,
    ) -> bool:
        """Settle the run as waiting until ``need`` of these starts are over or of these events are there.

        Args:
            claim: The claim.
            steps: Starts that are not recorded yet; recorded in the same transaction.
            children: The runs they make.
            awaited: Places of the starts, recorded or about to be, that are not known to be over.
            need: How many of them, and of the events, it needs to go on.
            why: Line for the history.
            events: The events that are waited for.

        Returns:
            Whether the run waits. If not, enough of them are over or there already, and nothing was written.

        Raises:
            ControlAsked: The run is asked to pause or to end; nothing was written.
            ClaimLost: The run has been taken over; nothing was written.
        """
        status = RunStatus.AWAITING_STEPS if awaited else RunStatus.AWAITING_EVENT
        parameters = awaited_columns(awaited) | {
            "launched": len(children),
            "out": need,
            "wanted": write_wanted(events.counts),
            "wake_at": events.due_at,
            "note": clean(why),
            "why": clean(why),
        }
        may_be_over = not {step.seq for step in steps}.issuperset(awaited)

        def settle(connection: Connection) -> None:
            if claim.history_length > PAGE:
                self._passes.turn_page.run(connection, **fence_of(claim))
                self._passes.clear_page.run(connection, **fence_of(claim))
            parameters.update(fence_of(claim))
            may_have_come = False
            if self._s.wait[status].run(connection, known=events.known, **parameters).rowcount != 1:
                may_have_come = bool(events.counts)
                if self._s.wait[status].run(connection, known=NO_EVENTS.known, **parameters).rowcount != 1:
                    # Raised in the transaction, so that a page that was turned is turned back.
                    self._check_waiting(connection, claim, status)
                    return
            over = come = 0
            counts = events.counts
            if may_be_over:
                over = len(
                    self._outcomes.over(connection, claim.run_id, min(awaited), max(awaited)) & awaited
                )
            if may_have_come:
                arrived = self._inbox.come(connection, claim.run_id, events)
                come, counts = sum(arrived.values()), fewer(counts, arrived)
            left = need - over - come
            if left <= 0:
                raise _NothingToWaitFor
            if left < need:
                self._s.fewer.run(connection, run=claim.run_id, out=left, wanted=write_wanted(counts))
            self.write(connection, claim, steps, children)

        def work() -> bool:
            try:
                with self._connections.transaction() as connection:
                    settle(connection)
            except _NothingToWaitFor:
                return False
            return True

        return self._connections.retrying(work)

    def grow(self, connection: Connection, claim: Claim, count: int) -> None:
        """Within a transaction: lock the parent and count what it starts.

        Raises:
            ControlAsked: The run is asked to pause or to end.
            ClaimLost: It has been taken over.
        """
        if self._s.grow.run(connection, **fence_of(claim), launched=count).rowcount != 1:
            raise refused(claim, self._passes.state.run(connection, run=claim.run_id).first())

    def write(
        self,
        connection: Connection,
        claim: Claim,
        steps: Sequence[StepRecord],
        children: Sequence[NewChild],
    ) -> None:
        """Within a transaction that has locked the parent: record starts and write the runs they make."""
        if not steps:
            return
        self._s.record.run_many(connection, [start_row(claim, step) for step in steps])
        at_once = [child for child in children if not (child.is_held or child.run.delay)]
        for statement, chosen in (
            (self._s.queued, [child for child in at_once if child.kind is not RunKind.FOREIGN]),
            (self._s.foreign, [child for child in at_once if child.kind is RunKind.FOREIGN]),
            (self._s.held, [child for child in children if child.is_held]),
            (self._s.delayed, [child for child in children if child.run.delay and not child.is_held]),
        ):
            if chosen:
                statement.run_many(connection, [child_row(claim, child) for child in chosen])

    def write_cancelled(
        self,
        connection: Connection,
        claim: Claim,
        steps: Sequence[StepRecord],
        children: Sequence[NewChild],
    ) -> None:
        """Within a transaction that has locked the parent: record starts, and the runs they make as cancelled."""
        self._s.record.run_many(connection, [start_row(claim, step) for step in steps])
        if children:
            rows = [
                child_row(claim, child) | {"on_close": None, "deadline_at": None, "deadline_in": None}
                for child in children
            ]
            self._s.cancelled.run_many(connection, rows)

    def written(self, claim: Claim, seq: int) -> str | None:
        """Give the id of the run whose start is recorded at a place, or None when nothing is recorded there."""

        def work() -> str | None:
            with self._connections.autocommit() as connection:
                found = self._s.written.run(connection, run_id=claim.run_id, seq=seq).first()
                return None if found is None else found.child_id

        return self._connections.retrying(work)

    def _is_ours(self, claim: Claim, step: StepRecord) -> bool:
        """Tell whether what is recorded at a place is what an earlier try of ours wrote."""

        def work() -> bool:
            with self._connections.autocommit() as connection:
                found = self._passes.written.run(connection, run_id=claim.run_id, seq=step.seq).first()
                return found is not None and (
                    (found.epoch, found.address, found.finished_at, found.kind)
                    == (step.epoch, step.address, step.finished_at, step.kind.value)
                )

        return self._connections.retrying(work)

    def _check_waiting(self, connection: Connection, claim: Claim, status: RunStatus) -> None:
        """Accept that the run is not ours any more if an earlier try of ours settled it, and its answer was lost."""
        state = self._passes.state.run(connection, run=claim.run_id).first()
        if state is None or (state.status, state.epoch) != (status.value, claim.epoch):
            raise refused(claim, state)
