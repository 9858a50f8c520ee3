"""One pass of a run: from the claim until the code ends or waits.

Holds what the parts of a pass share, and the one rule they all obey: once the pass is over, nothing is written any
more.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import NoReturn

from aiki_celery.engine.lifecycle import Lifecycle
from aiki_celery.engine.ports import Host
from aiki_celery.engine.replay import Record
from aiki_celery.errors import (
    ClaimLost,
    PayloadTooLarge,
    RunError,
    RunSuspended,
    StepLimitExceeded,
    WrongThread,
)
from aiki_celery.journal.passes import JournalPass
from aiki_celery.model.clock import MICROSECOND, Clock
from aiki_celery.model.events import RunParked, RunSuspending, WriteRefused
from aiki_celery.model.records import Claim, StepRecord
from aiki_celery.model.status import RunStatus
from aiki_celery.settings import AikiSettings


@dataclass
class Pass:
    """What the parts of a pass share.

    Attributes:
        over: What ended the pass, once it is over; every journaled call raises it again.
        settled_as: The state the run was left in, when it waits or was handed over.
        due_at: When a waiting run goes on, in microseconds.
        busy_with: Name of the task that is running right now, whose code must not make journaled calls.
        failed_at: Place of the first record of the step that failed last, with the error it raised.
    """

    claim: Claim
    record: Record
    journal: JournalPass
    clock: Clock
    host: Host
    hooks: Lifecycle
    settings: AikiSettings
    over: BaseException | None = None
    settled_as: RunStatus | None = None
    due_at: int | None = None
    busy_with: str | None = None
    failed_at: tuple[int, BaseException] | None = None
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

    def write(self, step: StepRecord) -> None:
        """Write a record, or end the pass.

        Raises:
            ClaimLost: The run was taken over, or it is not known whether the record was written.
        """
        try:
            self.journal.append(step)
        except ClaimLost as lost:
            self.refused(lost)
        except BaseException as error:
            # What is in the journal now is not known; going on would write on top of it. Somebody replays the run.
            self.lose(f"run {self.claim.run_id}: writing record {step.seq} was interrupted: {error!r}", error)

    def park(
        self, status: RunStatus, due_at: int, why: str, steps: tuple[StepRecord, ...] = (), attempt: int = 0
    ) -> NoReturn:
        """Settle the run as waiting until ``due_at`` and leave the workflow's code.

        Raises:
            RunSuspended: Always, unless the run was taken over.
            ClaimLost: The run was taken over.
        """
        run_id, workflow = self.claim.run_id, self.claim.workflow
        if self.hooks:
            self.hooks.emit(RunSuspending(run_id, workflow, status))
        try:
            self.journal.park(status, steps, due_at=due_at, why=why, attempt=attempt or self.claim.attempt)
        except ClaimLost as lost:
            self.refused(lost)
        except BaseException as error:
            self.lose(f"run {run_id}: settling it as {status} was interrupted: {error!r}", error)
        self.over, self.settled_as, self.due_at = (
            RunSuspended(f"run {run_id} is {status}: {why}"),
            status,
            due_at,
        )
        if self.hooks:
            self.hooks.emit(RunParked(run_id, workflow, status))
        raise self.over

    def let_go_if_asked(self) -> None:
        """At a step boundary: hand the run over when the worker is ending or has held it long enough.

        Raises:
            RunSuspended: It was handed over.
            ClaimLost: It was taken over.
        """
        why = self.host.should_let_go((self.clock.now() - self.claim.now) / MICROSECOND)
        if why is not None:
            self.hand_over(why)

    def hand_over(self, why: str) -> NoReturn:
        """Queue the run again and leave the workflow's code.

        Raises:
            RunSuspended: Always, unless the run was taken over.
            ClaimLost: The run was taken over.
        """
        try:
            self.journal.hand_over(why)
        except ClaimLost as lost:
            self.refused(lost)
        except BaseException as error:
            self.lose(f"run {self.claim.run_id}: handing it over was interrupted: {error!r}", error)
        self.over = RunSuspended(f"run {self.claim.run_id} was handed over: {why}")
        self.settled_as = RunStatus.QUEUED
        raise self.over

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
