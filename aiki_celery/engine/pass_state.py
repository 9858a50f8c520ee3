"""What the parts of a pass share, and the rule they all obey: once the pass is over, nothing is written any more."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn

from aiki_celery.engine.lifecycle import Lifecycle
from aiki_celery.engine.ports import Host, Publish, Signatures
from aiki_celery.engine.replay import FailedStep, Record
from aiki_celery.errors import ClaimLost, PayloadTooLarge, RunError, StepLimitExceeded, WrongThread
from aiki_celery.journal.launches import Launches
from aiki_celery.journal.outcomes import Outcomes
from aiki_celery.journal.passes import JournalPass
from aiki_celery.journal.references import References
from aiki_celery.model.clock import Clock
from aiki_celery.model.events import WriteRefused
from aiki_celery.model.records import Claim, NewChild, StepRecord
from aiki_celery.model.status import RunStatus
from aiki_celery.settings import AikiSettings


@dataclass
class PassState:
    """What the parts of a pass share.

    Attributes:
        over: What ended the pass, once it is over; every journaled call raises it again.
        settled_as: The state the run was left in, when it waits or was handed over.
        due_at: When a waiting run goes on, in microseconds.
        busy_with: Name of the task that is running right now, whose code must not make journaled calls.
        failed: The steps whose errors the code was given, in that order.
        reported: What the step in flight has reported of its progress, as JSON text.
        started: Starts that the code has reached and that are not written yet.
    """

    claim: Claim
    record: Record
    journal: JournalPass
    clock: Clock
    host: Host
    hooks: Lifecycle
    settings: AikiSettings
    launches: Launches
    references: References
    outcomes: Outcomes
    publish: Publish
    route: Callable[[Any, str | None], str | None]
    signatures: Signatures
    over: BaseException | None = None
    settled_as: RunStatus | None = None
    due_at: int | None = None
    busy_with: str | None = None
    failed: list[FailedStep] = field(default_factory=list)
    reported: str | None = None
    started: list[tuple[StepRecord, NewChild]] = field(default_factory=list)
    thread: int = field(default_factory=threading.get_ident)

    def check(self) -> None:
        """Make sure that a journaled call may be made now.

        Raises:
            RunSuspended: The run is settled as waiting.
            ClaimLost: The run belongs to somebody else.
            WrongThread: The call comes from a thread that is not the run's.
            RunError: The call comes from within a task.
        """
        if self.over is not None:
            raise self.over
        if threading.get_ident() != self.thread:
            raise WrongThread(
                f"Run {self.claim.run_id}: a journaled call came from another thread than the workflow's. Threads "
                "would record steps in an order that no replay can repeat; make the calls from the workflow itself."
            )
        if self.busy_with is not None:
            raise RunError(
                f"Run {self.claim.run_id}: task {self.busy_with!r} made a journaled call. Only the workflow may; a "
                "task returns its result and the workflow goes on from there."
            )

    def check_size(self, text: str, owner: str, what: str) -> None:
        """Refuse a value whose JSON form is too large.

        Raises:
            PayloadTooLarge: It has more bytes than ``aiki_max_payload``.
        """
        limit = self.settings.max_payload
        if len(text) * 4 > limit and (size := len(text.encode())) > limit:
            raise PayloadTooLarge(owner, what, size, limit)

    @property
    def has_room(self) -> bool:
        """Whether the run may have another record."""
        return self.record.last_seq < self.settings.max_steps

    def check_room(self) -> None:
        """Make sure that there is room for another record, before anything is done that would be recorded.

        Raises:
            StepLimitExceeded: The run has as many as it may have.
        """
        if not self.has_room:
            raise StepLimitExceeded(self.claim.run_id, self.settings.max_steps)

    def next_seq(self) -> int:
        """Give the place of the next record.

        Raises:
            StepLimitExceeded: The run has as many as it may have.
        """
        self.check_room()
        return self.record.next_seq()

    def key_of(self, address: str) -> str:
        """Give the idempotency key of the call of an address that was asked for last."""
        return f"{self.claim.run_id}:{address}:{self.record.calls_of(address) - 1}"

    def refused(self, lost: ClaimLost) -> NoReturn:
        """End the pass because a write of it was refused.

        Raises:
            ClaimLost: Always.
        """
        self.over = lost
        if self.hooks:
            self.hooks.emit(WriteRefused(self.claim.run_id, self.claim.workflow, self.claim.epoch))
        raise lost

    def lose(self, why: str, error: BaseException) -> NoReturn:
        """End the pass without a word to the journal; the worker's sweep frees the run.

        Raises:
            ClaimLost: Always, unless the process itself is being ended, whose exception goes on.
        """
        self.over = ClaimLost(why)
        if not isinstance(error, Exception):
            raise error
        raise self.over from error
