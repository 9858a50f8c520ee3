"""The end of a run that others are concerned with: who started it, who follows it, and what ends with it.

All of it is one transaction. Rows are locked from the top of the family down: parents, the run itself, its children.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from aiki_celery.errors import ClaimLost
from aiki_celery.journal.asked import ControlAsked, is_ours
from aiki_celery.journal.family.family import Family, Tie
from aiki_celery.journal.pass_statements import PassStatements, fence_of, refusal
from aiki_celery.model.records import Claim, Envelope
from aiki_celery.model.status import TIMED, RunStatus

#: How often the end is tried anew when somebody has begun to follow the run in between.
TRIES = 100


class Followed(Exception):
    """Somebody follows the run, and has to be told of its end."""


class _SettledEarlier(Exception):
    """An earlier try was committed and its answer lost: undo counting off a second time."""


class Endings:
    """Ends runs within their family.

    Args:
        statements: The statements of passes.
        family: Tells parents and followers.
    """

    def __init__(self, statements: PassStatements, family: Family) -> None:
        self._s = statements
        self._family = family

    def end(
        self, claim: Claim, status: RunStatus, told: bool, parameters: dict[str, Any], *, closes: bool
    ) -> list[Envelope]:
        """Record a run's terminal state, tell who waits for it, and cancel the children that end with it.

        Args:
            claim: The claim.
            status: The state.
            told: Whether nobody outside has to be told.
            parameters: What the run's row is set to.
            closes: Whether it may have children that end with it.

        Returns:
            What the messages of those runs are made from that go on now.

        Raises:
            ClaimLost: The run has been taken over; nothing was written.
        """
        ties: Sequence[Tie] = () if claim.parent_id is None else (_own(claim),)
        followers: list[Tie] = []
        for _ in range(TRIES):
            try:
                return self._try(claim, status, told, parameters, [*ties, *followers], len(followers), closes)
            except Followed:
                followers = self._family.followers(claim.run_id)
        raise ClaimLost(refusal(claim))

    def _try(
        self,
        claim: Claim,
        status: RunStatus,
        told: bool,
        parameters: dict[str, Any],
        ties: Sequence[Tie],
        followers: int,
        closes: bool,
    ) -> list[Envelope]:
        fence = fence_of(claim) | {"followers": followers}
        statement = self._s.finish[status, told]

        def work() -> list[Envelope]:
            try:
                with self._s.connections.transaction() as connection:
                    woken = self._family.count_off_all(connection, ties)
                    if statement.run(connection, **parameters, **fence).rowcount != 1:
                        self.check_settled(connection, claim, status)
                        raise _SettledEarlier
                    if closes:
                        woken += self._family.close(connection, claim.run_id)
                    return woken
            except _SettledEarlier:
                return []

        return self._s.connections.retrying(work)

    def end_on(
        self, connection: Connection, claim: Claim, status: RunStatus, parameters: dict[str, Any]
    ) -> list[Envelope]:
        """Within a transaction: record the end of a run, and tell who has started it and who follows it.

        Raises:
            ClaimLost: The run has been taken over, or is over: by an earlier try, perhaps.
        """
        told: set[Tie] = set()
        woken: list[Envelope] = []
        own = set() if claim.parent_id is None else {_own(claim)}
        followers: list[Tie] = []
        for _ in range(TRIES):
            ties = {*own, *followers}
            woken += self._family.count_off_all(connection, list(ties - told))
            told |= ties
            fence = fence_of(claim) | {"followers": len(followers)}
            if self._s.finish[status, True].run(connection, **parameters, **fence).rowcount == 1:
                return woken
            if not is_ours(claim, self._s.state.run(connection, run=claim.run_id).first()):
                break
            followers = self._family.followers(claim.run_id, connection)
        raise ClaimLost(refusal(claim))

    def check_settled(self, connection: Connection, claim: Claim, status: RunStatus) -> None:
        """After a refused write: make sure that an earlier try of this claim did it, whose answer was lost.

        Raises:
            ControlAsked: It was refused because the run is asked to pause or to end, and has to heed that.
            Followed: It was refused because somebody has begun to follow the run.
            ClaimLost: The run has been taken over.
        """
        state = self._s.state.run(connection, run=claim.run_id).first()
        if state is None or state.epoch != claim.epoch:
            raise ClaimLost(refusal(claim))
        if is_ours(claim, state) and status in TIMED:
            raise ControlAsked(state.control)
        if is_ours(claim, state) and state.followers:
            raise Followed
        if state.status != status.value:
            raise ClaimLost(refusal(claim))


def _own(claim: Claim) -> Tie:
    return Tie(claim.parent_id or "", claim.parent_seq or 0, claim.lane)
