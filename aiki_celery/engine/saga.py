"""Sagas: where a block of steps does not end well, what it has done is undone, the last thing first."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Any, Literal, ParamSpec

from aiki_celery.definitions.current import Run
from aiki_celery.definitions.task import Task
from aiki_celery.definitions.workflow import Workflow
from aiki_celery.engine.addressing import address_of
from aiki_celery.engine.current_pass import Pass
from aiki_celery.engine.failures import in_a_line
from aiki_celery.engine.joining import wait_for
from aiki_celery.engine.put_aside import Undone
from aiki_celery.engine.run_log import ReplayAwareLog
from aiki_celery.engine.undoing import Compensation
from aiki_celery.errors import (
    CompensationFailed,
    InputInvalid,
    RunCancelled,
    RunError,
    RunFinished,
    RunNotFound,
    WorkflowCancelled,
)
from aiki_celery.model.status import StepKind, StepStatus

P = ParamSpec("P")

#: Why a child is cancelled that was started in a block which is undone.
OUTER = "what its parent did is being undone"


class Saga:
    """What undoes the steps of a block; made by :meth:`WorkflowRun.saga`.

    Compensations are ordinary steps, recorded and retried as any. They run, each once, when the block raises an
    ``Exception`` or the run is cancelled in it. A block that ends well shares its compensations with the saga whose
    block it stands in, if it does.

    Args:
        current: The pass.
        run: The run, for the compensations.
        log: Where it is said what is undone, and why.
    """

    def __init__(self, current: Pass, run: Run, log: ReplayAwareLog) -> None:
        self._pass = current
        self._run = run
        self._log = log
        self._compensations: list[Compensation] = []
        self._state = "new"
        self._cancelled: RunCancelled | None = None
        record, undoing = current.record, current.undoing
        # From here on, the pass notes what the code comes to: a saga must know what belongs to its block.
        record.trace = [] if record.trace is None else record.trace
        undoing.futures = [] if undoing.futures is None else undoing.futures
        self._reached, self._place = record.reached, record.place
        self._first, self._first_future = len(record.trace), len(undoing.futures)

    def add(
        self, compensation: Task[P, Any] | Workflow[P, Any], /, *args: P.args, **kwargs: P.kwargs
    ) -> None:
        """Add what undoes the step that was just done.

        Args:
            compensation: A task or a child workflow, or a copy of it with options.
            *args: Its arguments, as they are now: what becomes of a list later makes no difference.
            **kwargs: Its arguments.

        Raises:
            InputInvalid: The arguments do not fit; nothing was added.
            NotJournalable: An argument has no JSON form.
            PayloadTooLarge: The arguments are too large.
            RunError: The saga's block has ended.
        """
        self._pass.check()
        if self._state == "over":
            raise RunError(
                f"Run {self._pass.claim.run_id}: a compensation was added to a saga whose block has ended."
            )
        if not isinstance(compensation, (Task, Workflow)):
            raise InputInvalid(
                self._pass.claim.workflow,
                "compensation",
                f"must be a task or a workflow, so that it is recorded, not {compensation!r:.60}; "
                "its arguments come after it: saga.add(refund, payment.id)",
            )
        bound = compensation.signature.bind_input(args, kwargs)
        self._pass.check_size(bound.text, compensation.name, "the input")
        if isinstance(compensation, Task):
            address_of(compensation, compensation.step_options, bound.values)
        else:
            compensation.signature.hash(bound.values)
        positional, keywords = compensation.signature.call_form(bound.values)
        call: Callable[..., Any] = compensation.run
        if isinstance(compensation, Workflow):
            call = partial(self._run_child, compensation)
        undo = partial(call, self._run, *positional, **keywords)
        self._compensations.append(Compensation(compensation.name, undo))

    def _run_child(self, compensation: Workflow[..., Any], run: Run, /, *args: Any, **kwargs: Any) -> Any:
        """Run a child workflow. Where the run is cancelled meanwhile, it may have come to its end all the same."""
        future = compensation.start(run, *args, **kwargs)
        try:
            return future.result()
        except RunCancelled as cancelled:
            self._cancelled = cancelled
        try:
            return future.result()
        except WorkflowCancelled:
            return compensation.start(run, *args, **kwargs).result()

    @property
    def names(self) -> list[str]:
        """Names of the compensations that have been added, and not run."""
        return [one.name for one in self._compensations if not one.is_begun]

    def compensate(self) -> None:
        """Undo now what was done so far; what is added afterwards is undone another time.

        Raises:
            CompensationFailed: Some compensations gave up; all the others have run.
        """
        self._pass.check()
        self._undo(sys.exc_info()[1])

    def __enter__(self) -> Saga:
        self._pass.check()
        if self._state != "new":
            raise RunError(
                f"Run {self._pass.claim.run_id}: a saga has one block; make another one with run.saga()."
            )
        self._state, self._was_cancelled = "open", self._pass.is_cancelled
        self._pass.undoing.open.append(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> Literal[False]:
        self._state = "over"
        self._pass.undoing.open.remove(self)
        if error is None and self._pass.is_cancelled and not self._was_cancelled:
            # The code was told in the block, and has kept that to itself.
            error = RunCancelled(self._pass.cancel_reason)
        if error is None:
            if self._pass.undoing.open:
                outer: Saga = self._pass.undoing.open[-1]
                outer._compensations += self._compensations
            return False
        # An exit that the process outlives ends the run as any failure does.
        fails = isinstance(error, (Exception, RunCancelled))
        if self._pass.over is None and (fails or self._pass.host.outlives(error)):
            self._undo(error)
        return False

    def _undo(self, error: BaseException | None) -> None:
        """Run the compensations, the last one first.

        Args:
            error: What they follow, if they follow an error.

        Raises:
            CompensationFailed: Some gave up.
            RunCancelled: The run was cancelled meanwhile.
        """
        current, record = self._pass, self._pass.record
        compensations = [one for one in self._compensations if not one.is_begun]
        self._compensations = []
        if not compensations:
            return
        trace = [] if record.trace is None else record.trace
        self._done(self._end_started)
        earlier = tuple(place for place in trace[self._first :] if place <= self._reached)
        first = len(trace)
        self._tell(len(compensations), error)
        failures: list[tuple[str, str]] = []
        failed: list[int] = []
        for one in reversed(compensations):
            known, one.is_begun = len(trace), True
            try:
                self._done(one.run)
            except Exception as failure:
                if current.over is not None:
                    raise
                failures.append((one.name, in_a_line(failure)))
                failed += trace[known:][-1:]
        raised = self._failure(failures, error) if failures else None
        place = min(trace[first:], default=record.last_seq)
        current.undoing.done.append(
            Undone(error, self._reached, self._place, earlier, place, raised, tuple(failed))
        )
        cancelled, self._cancelled = self._cancelled, None
        if raised is not None:
            raise raised from (cancelled or error)
        if cancelled is not None:
            raise cancelled from error

    def _end_started(self) -> None:
        """Wait until all is over that was started in the block: it would go on beside what is undone, and done again.

        Children that end with their parent are cancelled, so that they undo what they have done.
        """
        current = self._pass
        started = (current.undoing.futures or [])[self._first_future :]
        pending = [future for future in started if future.record.status is StepStatus.STARTED]
        children = [
            future.record.child_id or "" for future in pending if future.record.kind is StepKind.CHILD
        ]
        if children:
            current.flush()
        for child_id in children:
            try:
                current.publish(current.undoing.control.cancel(child_id, OUTER).envelopes)
            except (RunFinished, RunNotFound):
                continue
            except BaseException as error:
                current.lose(
                    f"run {current.claim.run_id}: cancelling a child was interrupted: {error!r}", error
                )
        wait_for(current, pending, need_all=True)

    def _done(self, work: Callable[[], Any]) -> None:
        """Do something that has to be done even if the run is cancelled meanwhile."""
        undoing = self._pass.undoing
        before, undoing.is_under_way = undoing.is_under_way, True
        try:
            work()
        except RunCancelled as cancelled:
            # Raised once, in place of the call: that has not been made.
            self._cancelled = cancelled
            work()
        finally:
            undoing.is_under_way = before

    def _failure(self, failures: list[tuple[str, str]], error: BaseException | None) -> CompensationFailed:
        after = "the code asked for it" if error is None else in_a_line(error)
        if isinstance(error, CompensationFailed):
            # A saga in the block of this one could not undo everything either.
            failures, after = [*error.failures, *failures], error.after
        claim = self._pass.claim
        return CompensationFailed(claim.workflow, claim.run_id, failures, after)

    def _tell(self, count: int, error: BaseException | None) -> None:
        why = "" if error is None else f" after {in_a_line(error)}"
        self._log.info("undoing %d step(s)%s", count, why)
