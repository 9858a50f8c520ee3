"""What the parts of a pass share, and the rule they all obey: once the pass is over, nothing is written any more."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn

from aiki_celery.definitions.current import Run
from aiki_celery.definitions.future import StepFuture
from aiki_celery.engine.expectations import Expectations
from aiki_celery.engine.lifecycle import Lifecycle
from aiki_celery.engine.ports import Host, Publish, Signatures
from aiki_celery.engine.put_aside import FailedStep
from aiki_celery.engine.replay import Record
from aiki_celery.engine.undoing import Undoing
from aiki_celery.errors import (
    ChildLimitExceeded,
    ClaimLost,
    PayloadTooLarge,
    RunError,
    StepLimitExceeded,
    WrongThread,
)
from aiki_celery.journal.control.obedience import Obedience
from aiki_celery.journal.family.launches import Launches
from aiki_celery.journal.family.outcomes import Outcomes
from aiki_celery.journal.family.references import References
from aiki_celery.journal.inbox.inbox import Inbox
from aiki_celery.journal.passes import JournalPass
from aiki_celery.journal.progress_notes import ProgressNotes
from aiki_celery.journal.renewals import Renewals
from aiki_celery.journal.transactions.transactional import TransactionalSteps
from aiki_celery.model.clock import Clock
from aiki_celery.model.events import WriteRefused
from aiki_celery.model.origin import Origin, read_origins
from aiki_celery.model.records import Claim, NewChild, StepRecord
from aiki_celery.model.status import RunKind, RunStatus
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
        undoing: What its sagas know together.
        reported: What the step in flight has reported of its progress, as JSON text.
        progress: What the code has said of the run's progress and is not written yet, as JSON text.
        progress_at: When progress was last written, in microseconds.
        seen_at: When the journal was last heard of, in microseconds.
        started: Starts that the code has reached and that are not written yet, and expectations, which make no run.
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
    obedience: Obedience
    renewals: Renewals
    progress_notes: ProgressNotes
    outcomes: Outcomes
    transactional: TransactionalSteps
    inbox: Inbox
    undoing: Undoing
    publish: Publish
    route: Callable[[Any, str | None], str | None]
    signatures: Signatures
    over: BaseException | None = None
    settled_as: RunStatus | None = None
    due_at: int | None = None
    busy_with: str | None = None
    failed: list[FailedStep] = field(default_factory=list)
    reported: str | None = None
    progress: str | None = None
    progress_at: int = 0
    seen_at: int = 0
    started: list[tuple[StepRecord, NewChild | None]] = field(default_factory=list)
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

    def has_room(self, more: int = 1) -> bool:
        """Tell whether the run may have so many more records."""
        recorded = self.record.last_seq - self.claim.base_seq
        return self.undoing.is_under_way or recorded + more <= self.settings.max_steps * self._share

    @property
    def _share(self) -> int:
        """How often a run has the room that it may have: once more to clean up, when it is cancelled."""
        return 1 if self.record.cancel is None or self.record.is_cancelling else 2

    @property
    def began_at(self) -> int:
        """When the run began, or went on as new, in microseconds."""
        if not self.claim.generation:
            return self.claim.created_at
        return self.record.began_at or self.claim.now

    def check_children(self, more: int = 1) -> None:
        """Make sure that the run may start so many more, before any of them is.

        Raises:
            ChildLimitExceeded: It may not.
        """
        started, limit = self.record.starts, self.settings.max_children * self._share
        if started + more > limit and not self.undoing.is_under_way:
            raise ChildLimitExceeded(self.claim.run_id, started, more, limit)

    def check_room(self, more: int = 1) -> None:
        """Make sure that there is room for so many more records, before anything is done that would be recorded.

        Raises:
            StepLimitExceeded: The run has as many as it may have.
        """
        if not self.has_room(more):
            raise StepLimitExceeded(self.claim.run_id, self.settings.max_steps)

    def next_seq(self) -> int:
        """Give the place of the next record.

        Raises:
            StepLimitExceeded: The run has as many as it may have.
        """
        self.check_room()
        return self.record.next_seq()

    def future(self, run: Run, definition: Any, record: StepRecord, key: str) -> StepFuture[Any]:
        """Give the future of a start."""
        future: StepFuture[Any] = StepFuture(run, definition, record, key)
        if self.undoing.futures is not None:
            self.undoing.futures.append(future)
        return future

    def key_of(self, address: str) -> str:
        """Give the idempotency key of the call of an address that was asked for last."""
        return self.name_of_call(address, self.record.ordinal(address))

    def name_of_call(self, address: str, ordinal: int, seq: int | None = None) -> str:
        """Give the idempotency key of a call: the run, the address, and which call of that address it is.

        Args:
            address: The address.
            ordinal: Which call of it, from 0.
            seq: Place of the record of a call that was made earlier, perhaps by a run that this one was forked from.
        """
        run_id, generation = self.claim.run_id, self.claim.generation
        if seq is not None:
            run_id, generation = self.maker_of(seq)
        return f"{run_id}:{address}:{generation}.{ordinal}" if generation else f"{run_id}:{address}:{ordinal}"

    def maker_of(self, seq: int) -> tuple[str, int]:
        """Give the run, and its generation, that made or makes what is recorded at a place."""
        for origin in self._origins:
            if seq <= origin.last_seq:
                return origin.run_id, origin.generation
        return self.claim.run_id, self.claim.generation

    @functools.cached_property
    def expectations(self) -> Expectations:
        """What the run expects of events, and what it has received."""
        claim = self.claim
        return Expectations(self.record, claim.inbox, claim.now, claim.events)

    @functools.cached_property
    def _origins(self) -> tuple[Origin, ...]:
        return read_origins(self.claim.call) if self.claim.kind is RunKind.WORKFLOW else ()

    def flush_progress(self) -> None:
        """Write what the code has said of its progress, if that is not written yet.

        Raises:
            ClaimLost: The run was taken over, or the journal could not be reached.
        """
        text, self.progress = self.progress, None
        if text is None:
            return
        try:
            self.progress_notes.write(self.claim, text)
        except ClaimLost as lost:
            self.refused(lost)
        except BaseException as error:
            self.lose(f"run {self.claim.run_id}: writing its progress was interrupted: {error!r}", error)

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
