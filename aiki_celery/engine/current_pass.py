"""One pass of a run: from the claim until the code ends or waits. Everything it writes, and how it ends."""

from __future__ import annotations

from typing import NoReturn

from aiki_celery.engine.pass_starts import Launching
from aiki_celery.errors import ClaimLost, RunCancelled, RunSuspended
from aiki_celery.journal.asked import PAUSE, ControlAsked
from aiki_celery.model.clock import MICROSECOND
from aiki_celery.model.events import RunParked, RunSuspending
from aiki_celery.model.records import StepRecord
from aiki_celery.model.status import RunStatus, StepKind


class Pass(Launching):
    """A pass: its state, and what it writes."""

    def write(self, step: StepRecord, *, is_done: bool = True) -> None:
        """Write a record, or end the pass.

        Args:
            step: The record.
            is_done: Whether it is about something that is done, and is kept whatever the run is asked for meanwhile.

        Raises:
            RunSuspended: The run is paused.
            ClaimLost: The run was taken over, or it is not known whether the record was written.
        """
        self.flush()
        self.cancel_here()
        while True:
            try:
                self.journal.append(step)
                self.seen_at = step.finished_at
                return
            except ControlAsked as asked:
                if self.obey(asked, (step,) if is_done else ()):
                    return
            except ClaimLost as lost:
                self.refused(lost)
            except BaseException as error:
                # What is in the journal now is not known; going on would write on top of it. Somebody replays the run.
                self.lose(
                    f"run {self.claim.run_id}: writing record {step.seq} was interrupted: {error!r}", error
                )

    def end(
        self,
        status: RunStatus,
        *,
        output: str | None = None,
        error: str | None = None,
        why: str,
        told: bool = True,
    ) -> None:
        """Record the outcome of the run, and queue who waited for it.

        Raises:
            ClaimLost: The run was taken over, or it is not known whether its end was recorded.
        """
        if status is not RunStatus.STALLED:
            # What a pass has started that diverged would be in the way of code that fits the record.
            self.flush()
        self.flush_progress()
        try:
            woken = self.journal.finish(
                status, output=output, error=error, why=why, told=told, closes=self.record.closes
            )
        except ClaimLost as lost:
            self.refused(lost)
        except Exception as interrupted:
            self.lose(
                f"run {self.claim.run_id}: recording its end was interrupted: {interrupted!r}", interrupted
            )
        if woken:
            self.publish(woken)

    def report(self, details: str) -> None:
        """Write what the step in flight reports of its progress.

        Raises:
            RunCancelled: The run is being cancelled.
            ClaimLost: The run was taken over.
        """
        try:
            self.journal.report(details)
        except ControlAsked:
            raise RunCancelled("the step's run is being cancelled") from None
        except ClaimLost as lost:
            self.refused(lost)
        self.reported = details

    def park(
        self, status: RunStatus, due_at: int, why: str, steps: tuple[StepRecord, ...] = (), attempt: int = 0
    ) -> None:
        """Settle the run as waiting until ``due_at`` and leave the workflow's code.

        Returns if the run is to be cancelled instead; of these records, only attempts that failed are written then.

        Raises:
            RunSuspended: Always, unless the run is to be cancelled or was taken over.
            ClaimLost: The run was taken over.
        """
        run_id, workflow = self.claim.run_id, self.claim.workflow
        self.flush()
        if self.record.is_cancelling:
            return
        self.flush_progress()
        if self.hooks:
            self.hooks.emit(RunSuspending(run_id, workflow, status))
        attempt = attempt or self.claim.attempt
        while True:
            try:
                self.journal.park(status, steps, due_at=due_at, why=why, attempt=attempt)
                break
            except ControlAsked as asked:
                is_pause = asked.control == PAUSE
                kept = [step for step in steps if is_pause or step.kind is StepKind.ATTEMPT]
                if self.obey(asked, kept, attempt):
                    return
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

        And look whether it is to be paused or cancelled, if that was not to be heard for a while.

        Raises:
            RunSuspended: It was handed over, or is paused.
            ClaimLost: It was taken over.
        """
        why = self.host.should_let_go((self.clock.now() - self.claim.now) / MICROSECOND)
        if why is not None:
            self.hand_over(why)
        self.look_if_it_is_time()

    def hand_over(self, why: str) -> NoReturn:
        """Queue the run again and leave the workflow's code.

        Raises:
            RunSuspended: Always, unless the run was taken over.
            ClaimLost: The run was taken over.
        """
        self.flush_progress()
        try:
            self.journal.hand_over(why)
        except ClaimLost as lost:
            self.refused(lost)
        except BaseException as error:
            self.lose(f"run {self.claim.run_id}: handing it over was interrupted: {error!r}", error)
        self.over = RunSuspended(f"run {self.claim.run_id} was handed over: {why}")
        self.settled_as = RunStatus.QUEUED
        raise self.over
