"""One pass of a run: from the claim until the code ends or waits. Everything it writes, and how it ends."""

from __future__ import annotations

from typing import NoReturn

from aiki_celery.engine.pass_state import PassState
from aiki_celery.errors import ClaimLost, ReferenceConflict, RunSuspended
from aiki_celery.model.clock import MICROSECOND
from aiki_celery.model.events import RunParked, RunSuspending, StepsLaunched, StepsLaunching
from aiki_celery.model.records import NewChild, StepRecord, envelope_of
from aiki_celery.model.status import RunStatus


class Pass(PassState):
    """A pass: its state, and what it writes."""

    def write(self, step: StepRecord) -> None:
        """Write a record, or end the pass.

        Raises:
            ClaimLost: The run was taken over, or it is not known whether the record was written.
        """
        self.flush()
        try:
            self.journal.append(step)
        except ClaimLost as lost:
            self.refused(lost)
        except BaseException as error:
            # What is in the journal now is not known; going on would write on top of it. Somebody replays the run.
            self.lose(f"run {self.claim.run_id}: writing record {step.seq} was interrupted: {error!r}", error)

    def start(self, record: StepRecord, child: NewChild) -> None:
        """Keep a start, to be written together with others before anything else is."""
        self.started.append((record, child))

    def start_referenced(self, record: StepRecord, child: NewChild, *, return_existing: bool) -> StepRecord:
        """Write a start by reference id at once, and give its record, which names the run that has that id.

        Raises:
            ReferenceConflict: It is taken by a run with other input; nothing was written.
            ClaimLost: The run was taken over, or it is not known whether the start was written.
        """
        self.flush()
        claim = self.claim
        if self.hooks:
            self.hooks.emit(StepsLaunching(claim.run_id, claim.workflow, 1))
        try:
            written, is_new = self.references.launch(
                claim, record, child, return_existing=return_existing, redone=self.record.redone
            )
        except ReferenceConflict:
            raise
        except ClaimLost as lost:
            self.refused(lost)
        except BaseException as error:
            self.lose(f"run {claim.run_id}: writing a start was interrupted: {error!r}", error)
        if is_new:
            self._send([child])
        return written

    def flush(self) -> None:
        """Write the starts that the code has reached, and send their messages.

        Raises:
            ClaimLost: The run was taken over, or it is not known whether they were written.
        """
        if not self.started:
            return
        steps, children = self._take_started()
        try:
            self.launches.launch(self.claim, steps, children)
        except ClaimLost as lost:
            self.refused(lost)
        except BaseException as error:
            self.lose(f"run {self.claim.run_id}: writing its starts was interrupted: {error!r}", error)
        self._send(children)

    def await_started(self, awaited: set[int], count: int, why: str) -> None:
        """Settle the run as waiting until so many of these starts are over; return if they are over already.

        Raises:
            RunSuspended: The run waits.
            ClaimLost: The run was taken over.
        """
        run_id, workflow, status = self.claim.run_id, self.claim.workflow, RunStatus.AWAITING_STEPS
        if not awaited.issubset({record.seq for record, _ in self.started}):
            # Perhaps there is nothing to wait for, and then what was started must not be undone with the waiting.
            self.flush()
        steps, children = self._take_started()
        if self.hooks:
            self.hooks.emit(RunSuspending(run_id, workflow, status))
        try:
            waits = self.launches.wait(self.claim, steps, children, awaited, count, why)
        except ClaimLost as lost:
            self.refused(lost)
        except BaseException as error:
            self.lose(f"run {run_id}: settling it as {status} was interrupted: {error!r}", error)
        if not waits:
            return
        self.over, self.settled_as = RunSuspended(f"run {run_id} is {status}: {why}"), status
        if self.hooks:
            self.hooks.emit(RunParked(run_id, workflow, status))
        self._send(children)
        raise self.over

    def _take_started(self) -> tuple[list[StepRecord], list[NewChild]]:
        started, self.started = self.started, []
        if started and self.hooks:
            self.hooks.emit(StepsLaunching(self.claim.run_id, self.claim.workflow, len(started)))
        return [record for record, _ in started], [child for _, child in started]

    def _send(self, children: list[NewChild]) -> None:
        """Send the messages of runs that were started; a sweep sends those that the broker does not take."""
        if not children:
            return
        if self.hooks:
            self.hooks.emit(StepsLaunched(self.claim.run_id, self.claim.workflow, len(children)))
        going = [child for child in children if not (child.is_held or child.run.delay)]
        self.publish([envelope_of(child.run, child.kind) for child in going])

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
            ClaimLost: The run was taken over.
        """
        try:
            self.journal.report(details)
        except ClaimLost as lost:
            self.refused(lost)
        self.reported = details

    def park(
        self, status: RunStatus, due_at: int, why: str, steps: tuple[StepRecord, ...] = (), attempt: int = 0
    ) -> NoReturn:
        """Settle the run as waiting until ``due_at`` and leave the workflow's code.

        Raises:
            RunSuspended: Always, unless the run was taken over.
            ClaimLost: The run was taken over.
        """
        run_id, workflow = self.claim.run_id, self.claim.workflow
        self.flush()
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
