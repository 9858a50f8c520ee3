"""What a pass writes when its run starts others, and when it waits for them.

The start is recorded with the run that it makes, in one transaction: neither is ever there without the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from aiki_celery.errors import ClaimLost
from aiki_celery.journal.connections import Connections
from aiki_celery.journal.history import PAGE, clean
from aiki_celery.journal.launch_statements import LaunchStatements
from aiki_celery.journal.outcomes import Outcomes
from aiki_celery.journal.pass_statements import PassStatements, refusal
from aiki_celery.journal.schema import Schema
from aiki_celery.journal.starts import common_row
from aiki_celery.model.clock import MICROSECOND
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
    """

    def __init__(
        self,
        connections: Connections,
        schema: Schema,
        redelivery_after: float,
        passes: PassStatements,
        outcomes: Outcomes,
    ) -> None:
        self._connections = connections
        self._passes = passes
        self._outcomes = outcomes
        self._s = LaunchStatements(connections, schema, redelivery_after)

    def launch(self, claim: Claim, steps: Sequence[StepRecord], children: Sequence[NewChild]) -> None:
        """Record that the run has started others, and write those.

        Raises:
            ClaimLost: The run has been taken over; nothing was written.
        """

        def work() -> None:
            try:
                with self._connections.transaction() as connection:
                    if not self.grow(connection, claim, len(children)):
                        raise ClaimLost(refusal(claim))
                    self.write(connection, claim, steps, children)
            except IntegrityError:
                if self.written(claim, steps[0].seq) != steps[0].child_id:
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
    ) -> bool:
        """Settle the run as waiting until ``need`` of the starts at these places are over.

        Args:
            claim: The claim.
            steps: Starts that are not recorded yet; recorded in the same transaction.
            children: The runs they make.
            awaited: Places of the starts, recorded or about to be, that are not known to be over.
            need: How many of them have to end.
            why: Line for the history.

        Returns:
            Whether the run waits. If not, enough of them are over already, and nothing was written.

        Raises:
            ClaimLost: The run has been taken over; nothing was written.
        """
        first, last = min(awaited), max(awaited)
        skip = [seq for seq in range(first, last + 1) if seq not in awaited]
        parameters = {
            "launched": len(children),
            "first": first,
            "last": last,
            "skip": f",{','.join(map(str, skip))}," if skip else None,
            "out": need,
            "note": clean(why),
            "why": clean(why),
        }
        may_be_over = not {step.seq for step in steps}.issuperset(awaited)

        def settle(connection: Connection) -> bool:
            if claim.history_length > PAGE:
                self._passes.turn_page.run(connection, **_fence(claim))
                self._passes.clear_page.run(connection, **_fence(claim))
            if self._s.wait.run(connection, **_fence(claim), **parameters).rowcount != 1:
                return False
            if may_be_over:
                over = len(self._outcomes.over(connection, claim.run_id, first, last) & awaited)
                if over >= need:
                    raise _NothingToWaitFor
                if over:
                    self._s.fewer.run(connection, run=claim.run_id, out=need - over)
            self.write(connection, claim, steps, children)
            return True

        def work() -> bool:
            try:
                with self._connections.transaction() as connection:
                    settled = settle(connection)
            except _NothingToWaitFor:
                return False
            if not settled:
                self._check_waiting(claim)
            return True

        return self._connections.retrying(work)

    def grow(self, connection: Connection, claim: Claim, count: int) -> bool:
        """Within a transaction: lock the parent and count what it starts; tell whether it is still held."""
        return self._s.grow.run(connection, **_fence(claim), launched=count).rowcount == 1

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
        self._s.record.run_many(connection, [_step_row(claim, step) for step in steps])
        at_once = [child for child in children if not (child.is_held or child.run.delay)]
        for statement, chosen in (
            (self._s.queued, [child for child in at_once if child.kind is not RunKind.FOREIGN]),
            (self._s.foreign, [child for child in at_once if child.kind is RunKind.FOREIGN]),
            (self._s.held, [child for child in children if child.is_held]),
            (self._s.delayed, [child for child in children if child.run.delay and not child.is_held]),
        ):
            if chosen:
                statement.run_many(connection, [_child_row(claim, child) for child in chosen])

    def written(self, claim: Claim, seq: int) -> str | None:
        """Give the id of the run whose start is recorded at a place, or None when nothing is recorded there."""

        def work() -> str | None:
            with self._connections.autocommit() as connection:
                found = self._s.written.run(connection, run_id=claim.run_id, seq=seq).first()
                return None if found is None else found.child_id

        return self._connections.retrying(work)

    def _check_waiting(self, claim: Claim) -> None:
        """Accept that the run is not ours any more if an earlier try of ours settled it, and its answer was lost."""
        with self._connections.autocommit() as connection:
            state = self._passes.state.run(connection, run=claim.run_id).first()
        if state is None or (state.status, state.epoch) != (RunStatus.AWAITING_STEPS.value, claim.epoch):
            raise ClaimLost(refusal(claim))


def _fence(claim: Claim) -> dict[str, Any]:
    return {"run": claim.run_id, "fence": claim.epoch, "token": claim.token}


def _step_row(claim: Claim, step: StepRecord) -> dict[str, Any]:
    return {
        "run_id": claim.run_id,
        "seq": step.seq,
        "kind": step.kind.value,
        "name": step.name,
        "address": step.address,
        "status": step.status.value,
        "attempt": step.attempt,
        "epoch": step.epoch,
        "started_at": step.started_at,
        "finished_at": step.finished_at,
        "child_id": step.child_id,
    }


def _child_row(claim: Claim, child: NewChild) -> dict[str, Any]:
    row = common_row(child.run) | {
        "kind": child.kind.value,
        "parent_id": claim.run_id,
        "parent_seq": child.parent_seq,
        "on_close": child.on_close,
        "lane": child.lane,
        "timeout": child.timeout,
        "call": child.call,
    }
    if child.run.delay and not child.is_held:
        row["delay"] = int(child.run.delay * MICROSECOND)
    return row
