"""The end of a run that others are concerned with: who started it, who follows it, and what ends with it.

All of it is one transaction. Rows are locked from the top of the family down: parents, the run itself, its children.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from aiki_celery.errors import ClaimLost
from aiki_celery.journal.family import Family, Tie
from aiki_celery.journal.pass_statements import PassStatements, refusal
from aiki_celery.model.records import Claim, Envelope
from aiki_celery.model.status import RunStatus

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
        fence = {"run": claim.run_id, "fence": claim.epoch, "token": claim.token, "followers": followers}
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

    def check_settled(self, connection: Connection, claim: Claim, status: RunStatus) -> None:
        """After a refused write: make sure that an earlier try of this claim did it, whose answer was lost.

        Raises:
            Followed: It was refused because somebody has begun to follow the run.
            ClaimLost: The run has been taken over.
        """
        state = self._s.state.run(connection, run=claim.run_id).first()
        if state is None or state.epoch != claim.epoch:
            raise ClaimLost(refusal(claim))
        if state.status == RunStatus.RUNNING.value and state.claim_token == claim.token and state.followers:
            raise Followed
        if state.status != status.value:
            raise ClaimLost(refusal(claim))


def _own(claim: Claim) -> Tie:
    return Tie(claim.parent_id or "", claim.parent_seq or 0, claim.lane)
