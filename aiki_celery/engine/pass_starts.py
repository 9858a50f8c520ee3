"""What a pass starts, and how it waits for that: kept until something is written, then written together."""

from __future__ import annotations

from aiki_celery.engine.obeying import Obeying
from aiki_celery.errors import ClaimLost, ReferenceConflict, RunSuspended
from aiki_celery.journal.asked import ControlAsked
from aiki_celery.journal.inbox.inbox import NO_EVENTS, Wanted
from aiki_celery.model.events import RunParked, RunSuspending, StepsLaunched, StepsLaunching
from aiki_celery.model.records import NewChild, StepRecord, envelope_of
from aiki_celery.model.status import RunStatus


class Launching(Obeying):
    """A pass that starts steps and children, and waits for them."""

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
        self.cancel_here(record.address)
        claim = self.claim
        if self.hooks:
            self.hooks.emit(StepsLaunching(claim.run_id, claim.workflow, 1))
        try:
            written, is_new = self.references.launch(
                claim, record, child, return_existing=return_existing, redone=self.record.aside.redone
            )
        except ControlAsked as asked:
            return self._start_referenced_after(asked, record, child, return_existing)
        except ReferenceConflict:
            raise
        except ClaimLost as lost:
            self.refused(lost)
        except BaseException as error:
            self.lose(f"run {claim.run_id}: writing a start was interrupted: {error!r}", error)
        if is_new:
            self._send([child])
        return written

    def _start_referenced_after(
        self, asked: ControlAsked, record: StepRecord, child: NewChild, return_existing: bool
    ) -> StepRecord:
        """Heed what the run was asked for when it was about to start a child by reference id."""
        if not self.obey(asked):
            return self.start_referenced(record, child, return_existing=return_existing)
        written = self.launches.written(self.claim, record.seq)
        if written is not None:  # an earlier try was committed and its answer lost
            return record._replace(child_id=written)
        self.cancel_here(record.address)
        raise AssertionError("a cancel that was recorded is raised")

    def flush(self) -> None:
        """Write the starts that the code has reached, and send their messages.

        Raises:
            ClaimLost: The run was taken over, or it is not known whether they were written.
        """
        while self.started:
            kept = self.started
            steps, children = self._take_started()
            try:
                self.launches.launch(self.claim, steps, children)
            except ControlAsked as asked:
                self.started = kept
                self.obey(asked)
                continue
            except ClaimLost as lost:
                self.refused(lost)
            except BaseException as error:
                self.lose(f"run {self.claim.run_id}: writing its starts was interrupted: {error!r}", error)
            self._send(children)

    def await_started(self, awaited: set[int], count: int, why: str, events: Wanted = NO_EVENTS) -> None:
        """Settle the run as waiting until so many of these starts or events are there.

        Returns if they may be there already, or if the run is to be cancelled: then look again.

        Raises:
            RunSuspended: The run waits.
            ClaimLost: The run was taken over.
        """
        run_id, workflow = self.claim.run_id, self.claim.workflow
        status = RunStatus.AWAITING_STEPS if awaited else RunStatus.AWAITING_EVENT
        if not awaited.issubset({record.seq for record, _ in self.started}):
            # Perhaps there is nothing to wait for, and then what was started must not be undone with the waiting.
            self.flush()
        if self.record.is_cancelling:
            return
        self.flush_progress()
        kept = list(self.started)
        steps, children = self._take_started()
        if self.hooks:
            self.hooks.emit(RunSuspending(run_id, workflow, status))
        try:
            waits = self.launches.wait(self.claim, steps, children, awaited, count, why, events)
        except ControlAsked as asked:
            self.started = kept
            self.obey(asked)
            return
        except ClaimLost as lost:
            self.refused(lost)
        except BaseException as error:
            self.lose(f"run {run_id}: settling it as {status} was interrupted: {error!r}", error)
        if not waits:
            self.started = kept
            return
        self.over, self.settled_as = RunSuspended(f"run {run_id} is {status}: {why}"), status
        self.due_at = events.due_at
        if self.hooks:
            self.hooks.emit(RunParked(run_id, workflow, status))
        self._send(children)
        raise self.over

    def _take_started(self) -> tuple[list[StepRecord], list[NewChild]]:
        started, self.started = self.started, []
        children = [child for _, child in started if child is not None]
        if children and self.hooks:
            self.hooks.emit(StepsLaunching(self.claim.run_id, self.claim.workflow, len(children)))
        return [record for record, _ in started], children

    def _send(self, children: list[NewChild]) -> None:
        """Send the messages of runs that were started; a sweep sends those that the broker does not take."""
        if not children:
            return
        if self.hooks:
            self.hooks.emit(StepsLaunched(self.claim.run_id, self.claim.workflow, len(children)))
        going = [child for child in children if not (child.is_held or child.run.delay)]
        self.publish([envelope_of(child.run, child.kind) for child in going])
