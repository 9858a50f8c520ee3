"""How a pass heeds what its run was asked for: a pause, or a cancel.

A pass learns of it when the journal refuses its next write. What it was writing is kept. A pause ends the pass. A
cancel is recorded, and then raised in the workflow's code, by the first call that is not answered by what was there
before the cancel. So a replay, which reads the same record, raises it in the same place.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic_core import from_json

from aiki_celery.engine.pass_state import PassState
from aiki_celery.errors import ClaimLost, RunCancelled, RunSuspended
from aiki_celery.journal.asked import PAUSE, ControlAsked
from aiki_celery.model.clock import MICROSECOND
from aiki_celery.model.events import CancelNoted, CancelNoting, RunParked, RunSuspending
from aiki_celery.model.records import StepRecord
from aiki_celery.model.status import RunStatus

#: A pass that has written nothing for so many seconds asks the journal before it begins a step.
LOOK_AFTER = 0.2


class Obeying(PassState):
    """A pass that heeds what its run is asked for."""

    def obey(self, asked: ControlAsked, steps: Sequence[StepRecord] = (), attempt: int = 0) -> bool:
        """Heed what a refused write has told.

        Args:
            asked: What the run is asked for.
            steps: What was to be written and has to be kept.
            attempt: Which attempt of the workflow comes next; 0 for the one that this is.

        Returns:
            Whether the run is being cancelled, and these records are written. If not, nobody asks for anything any
            more, and the write has to be tried again.

        Raises:
            RunSuspended: The run is paused.
            ClaimLost: The run was taken over.
        """
        if asked.control is None:
            return False
        if asked.control == PAUSE:
            return self._pause(steps, attempt or self.claim.attempt)
        return self._note_cancel(steps)

    def heed(self, control: str | None) -> None:
        """Before any code runs: heed what the run was asked for before it was taken.

        Raises:
            RunSuspended: The run is paused.
            ClaimLost: The run was taken over.
        """
        if control is not None:
            self.obey(ControlAsked(control))

    def look(self) -> None:
        """Ask the journal whether the run is to be paused or cancelled.

        Raises:
            RunSuspended: The run is paused.
            ClaimLost: The run was taken over.
        """
        try:
            self.journal.look()
        except ControlAsked as asked:
            self.obey(asked)
        except ClaimLost as lost:
            self.refused(lost)
        self.seen_at = self.clock.now()

    def look_if_it_is_time(self) -> None:
        """Do so if the pass has heard nothing of the journal for a while; see :meth:`look`."""
        if self.clock.now() - self.seen_at > LOOK_AFTER * MICROSECOND:
            self.look()

    def cancel_here(self, address: str | None = None) -> None:
        """Raise the cancel if it was noted and not raised: what the code asks for was not there before it.

        Args:
            address: What the code has asked for, which does not count then.

        Raises:
            RunCancelled: The run is being cancelled. From here on its code cleans up.
        """
        record = self.record
        if not record.is_cancelling or record.cancel is None:
            return
        if address is not None:
            record.untake(address)
        record.begin_clean_up()
        raise RunCancelled(self.cancel_reason)

    def counts(self, at: int) -> bool:
        """Tell whether what has happened at an instant may answer the code now: not if the run was cancelled before."""
        cancel = self.record.cancel
        return cancel is None or not self.record.is_cancelling or at < cancel.started_at

    def time_reached(self) -> int:
        """Give the instant, in microseconds, that the code has come to; of a cancel, that of the cancel."""
        cancel = self.record.cancel
        return cancel.finished_at if cancel is not None and self.record.is_cancelling else self.clock.now()

    @property
    def cancel_reason(self) -> str:
        """Why the run is cancelled, as its cancel was recorded."""
        cancel = self.record.cancel
        return "" if cancel is None else str(from_json(cancel.value or '""'))

    @property
    def is_cancelled(self) -> bool:
        """Whether the code has been told that the run is cancelled, and cleans up."""
        return self.record.cancel is not None and not self.record.is_cancelling

    def _pause(self, steps: Sequence[StepRecord], attempt: int) -> bool:
        """Settle the run as paused. Starts that are not written are come to again by the next pass."""
        run_id, workflow = self.claim.run_id, self.claim.workflow
        self.flush_progress()
        if self.hooks:
            self.hooks.emit(RunSuspending(run_id, workflow, RunStatus.PAUSED))
        try:
            paused = self.obedience.pause(self.claim, steps, attempt, "paused by hand")
        except ClaimLost as lost:
            self.refused(lost)
        except BaseException as error:
            self.lose(f"run {run_id}: settling it as paused was interrupted: {error!r}", error)
        if not paused:
            return False
        self.started = []
        self.over, self.settled_as = RunSuspended(f"run {run_id} is paused"), RunStatus.PAUSED
        if self.hooks:
            self.hooks.emit(RunParked(run_id, workflow, RunStatus.PAUSED))
        raise self.over

    def _note_cancel(self, steps: Sequence[StepRecord]) -> bool:
        """Record the cancel, after what is kept. Starts that are not written are recorded as cancelled."""
        run_id, workflow = self.claim.run_id, self.claim.workflow
        if self.hooks:
            self.hooks.emit(CancelNoting(run_id, workflow))
        starts = [record for record, _ in self.started]
        children = [child for _, child in self.started if child is not None]
        try:
            cancel = self.obedience.cancel(self.claim, steps, starts, children, self.clock.now())
        except ClaimLost as lost:
            self.refused(lost)
        except BaseException as error:
            self.lose(f"run {run_id}: recording its cancel was interrupted: {error!r}", error)
        if cancel is None:
            return False
        self.started = []
        self.record.note_cancel(cancel)
        if self.hooks:
            self.hooks.emit(CancelNoted(run_id, workflow))
        return True
