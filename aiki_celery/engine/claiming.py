"""Taking runs: each claim has a token of its own, so that a second try knows the first one's work."""

from __future__ import annotations

import uuid

from aiki_celery.journal.journal import Journal
from aiki_celery.model.records import Claim, NewRun, Owner, StepRecord


class Claiming:
    """Takes runs from the journal.

    Args:
        journal: Where runs are recorded.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def claim(self, run_id: str, owner: Owner) -> tuple[Claim, list[StepRecord]] | None:
        """Take a run that is queued or due; None when there is nothing to take."""
        return self._journal.claims.claim(run_id, owner, uuid.uuid4().hex)

    def claim_expired(self, run_id: str, owner: Owner) -> tuple[Claim, list[StepRecord]] | None:
        """Take a started step away from a process that has had it for too long; None when it is not so."""
        return self._journal.claims.claim_expired(run_id, owner, uuid.uuid4().hex)

    def give_back(self, claim: Claim, why: str) -> None:
        """Queue a run again that was taken, for somebody else."""
        current = self._journal.begin_pass(claim)
        try:
            current.hand_over(why)
        finally:
            current.close()

    def claim_new(self, run: NewRun, owner: Owner) -> tuple[Claim, list[StepRecord]] | None:
        """Journal a run whose message carried its input, as taken; None when the journal has it already."""
        token = uuid.uuid4().hex
        now = self._journal.starts.insert_claimed(run, owner, token)
        if now is None:
            return None
        claim = Claim(
            run_id=run.id,
            workflow=run.workflow,
            version=run.version,
            epoch=1,
            token=token,
            attempt=1,
            reference_id=run.reference_id,
            input=run.input,
            queue=run.queue,
            priority=run.priority,
            origin=run.origin,
            request=run.request,
            created_at=now,
            now=now,
        )
        return claim, []
