"""One pass of a run, top to bottom: claim, replay, run, settle."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from aiki_celery.definitions.task import Task
from aiki_celery.definitions.workflow import Workflow
from aiki_celery.engine.claiming import Claiming
from aiki_celery.engine.context import WorkflowRun
from aiki_celery.engine.current_pass import Pass
from aiki_celery.engine.execute_step import run_step
from aiki_celery.engine.exits import EXITS, refuse_exit
from aiki_celery.engine.failures import in_a_line, write_failure
from aiki_celery.engine.going_back import go_back
from aiki_celery.engine.lifecycle import Lifecycle
from aiki_celery.engine.next_attempt import park_for_retry, wait_for_attempt
from aiki_celery.engine.outcome import Outcome, over, release
from aiki_celery.engine.ports import Host, Publish, Signatures
from aiki_celery.engine.replay import Record
from aiki_celery.engine.retrying import delay_after
from aiki_celery.engine.undoing import Undoing
from aiki_celery.errors import ClaimLost, NonDeterminismError, RunCancelled, RunSuspended, WorkflowCancelled
from aiki_celery.journal.journal import Journal
from aiki_celery.model.clock import AnchoredClock, Clock
from aiki_celery.model.events import RunClaimed, RunFinished, RunFinishing
from aiki_celery.model.records import Claim, StepRecord
from aiki_celery.model.status import RunStatus
from aiki_celery.settings import AikiSettings

logger = logging.getLogger("aiki_celery.run")


class Executor(Claiming):
    """Runs passes.

    Args:
        journal: Where runs are recorded.
        settings: The settings.
        hooks: Who is told of lifecycle events.
        publish: Sends the messages of runs that passes start or wake.
        route: Gives the queue of what is started: the caller's, the definition's, or where its name is routed.
        signatures: Reads the signatures of Celery tasks that are started.
        clock: For tests: the clock of every pass, instead of the database's.
    """

    def __init__(
        self,
        journal: Journal,
        settings: AikiSettings,
        hooks: Lifecycle,
        publish: Publish,
        route: Callable[[Any, str | None], str | None],
        signatures: Signatures,
        clock: Clock | None = None,
    ) -> None:
        self._publish = publish
        self._signatures = signatures
        self._route = route
        super().__init__(journal)
        self._settings = settings
        self._hooks = hooks
        self._clock = clock

    def run(
        self,
        workflow: Workflow[..., Any],
        claim: Claim,
        steps: list[StepRecord],
        host: Host,
        *,
        told: bool,
        publish: Publish | None = None,
    ) -> Outcome:
        """Run a claimed run's code until it ends or waits, and settle it in the journal.

        Args:
            workflow: Its definition.
            claim: The claim.
            steps: What it has recorded.
            host: Who says when to let go.
            told: Whether nobody outside has to be told of the outcome.
            publish: Sends messages, if not as every pass does.
        """
        current = self._begin(claim, steps, host, publish)
        if self._hooks:
            self._hooks.emit(RunClaimed(claim.run_id, claim.workflow, claim.epoch, len(steps)))
        try:
            current.heed(claim.control)
            wait_for_attempt(current)
            return self._outcome(workflow, current, told)
        except (RunSuspended, ClaimLost):
            return over(current)
        finally:
            current.journal.close()

    def run_step(
        self,
        task: Task[..., Any],
        claim: Claim,
        steps: list[StepRecord],
        host: Host,
        *,
        is_expired: bool = False,
        publish: Publish | None = None,
    ) -> Outcome:
        """Run a started step that was claimed, until it has an outcome or waits for its next attempt.

        Args:
            task: Its definition.
            claim: The claim.
            steps: Its attempts so far.
            host: Who says when to let go.
            is_expired: Whether the time of an attempt is over, which is to be recorded; nothing is run.
            publish: Sends messages, if not as every pass does.
        """
        current = self._begin(claim, steps, host, publish)
        try:
            return run_step(current, task, is_expired=is_expired)
        finally:
            current.journal.close()

    def _begin(self, claim: Claim, steps: list[StepRecord], host: Host, publish: Publish | None) -> Pass:
        return Pass(
            claim=claim,
            record=Record(steps, claim.base_seq),
            journal=self._journal.begin_pass(claim),
            clock=self._clock or AnchoredClock(claim.now),
            host=host,
            hooks=self._hooks,
            settings=self._settings,
            launches=self._journal.launches,
            references=self._journal.references,
            obedience=self._journal.obedience,
            renewals=self._journal.renewals,
            progress_notes=self._journal.progress_notes,
            outcomes=self._journal.outcomes,
            transactional=self._journal.transactional,
            inbox=self._journal.inbox,
            undoing=Undoing(self._journal.control),
            publish=publish or self._publish,
            route=self._route,
            signatures=self._signatures,
            reported=claim.details,
            seen_at=claim.now,
        )

    def _outcome(self, workflow: Workflow[..., Any], current: Pass, told: bool) -> Outcome:
        """Call the workflow's code and settle what came of it."""
        try:
            values = workflow.signature.read(current.claim.input)
            args, kwargs = workflow.signature.call_form(values)
            try:
                value = workflow.function(WorkflowRun(current), *args, **kwargs)
            except EXITS as error:
                refuse_exit(current.host, f"workflow {workflow.name!r}", error)
                raise
            if current.over is None and not current.is_cancelled:
                output, _ = workflow.signature.write_result(value)
                current.check_size(output, workflow.name, "the result")
        except (RunSuspended, ClaimLost):
            return over(current)
        except RunCancelled as cancelled:
            if current.over is not None:
                return self._settle_over(current, told)
            return self._cancelled(current, told, cancelled.reason)
        except Exception as error:
            if current.over is not None:
                return self._settle_over(current, told)
            if current.is_cancelled:
                return self._cancelled(current, told, current.cancel_reason, error)
            return self._failed(workflow, current, error, told)
        except BaseException:
            # The worker is being ended under the run: let somebody else have it at once. A process that is ended
            # alone, by a time limit say, leaves that to the worker, which knows why.
            if current.over is None and current.host.is_ending:
                release(current)
            raise
        if current.over is not None:
            return self._settle_over(current, told)
        if current.is_cancelled:
            return self._cancelled(current, told, current.cancel_reason)
        self._finish(current, RunStatus.COMPLETED, told, output=output, why="completed")
        return Outcome(RunStatus.COMPLETED, output=output)

    def _failed(self, workflow: Workflow[..., Any], current: Pass, error: Exception, told: bool) -> Outcome:
        """Try the workflow again if its policy says so, else record it as failed."""
        claim = current.claim
        past = current.record.aside.retries
        started = past[0].started_at if past else current.began_at
        back = go_back(current, error)
        delay = delay_after(workflow.settings.retry, error, past, started, current.clock.now())
        if delay is not None and current.has_room() and not (back.needs_hand or current.record.is_cancelling):
            park_for_retry(current, error, delay, back)
        failure = write_failure(
            error, claim.attempt, put_aside=back.text(None), marker=back.name if back.is_undone else None
        )
        why = in_a_line(error)
        self._finish(current, RunStatus.FAILED, told, error=failure, why=why)
        return Outcome(RunStatus.FAILED, error=failure, exception=error)

    def _cancelled(self, current: Pass, told: bool, reason: str, error: Exception | None = None) -> Outcome:
        """Record that the run is cancelled, now that its code has cleaned up, whatever came of that."""
        claim, failure, why = current.claim, None, reason
        if error is not None:
            failure = write_failure(error, claim.attempt)
            why = f"{reason}; cleaning up failed: {in_a_line(error)}".removeprefix("; ")
            logger.error("Run %s was cancelled, and cleaning up failed: %s", claim.run_id, in_a_line(error))
        self._finish(current, RunStatus.CANCELLED, told, error=failure, why=why)
        cancelled = WorkflowCancelled(claim.workflow, claim.run_id, why)
        return Outcome(RunStatus.CANCELLED, error=failure, exception=cancelled)

    def _settle_over(self, current: Pass, told: bool) -> Outcome:
        """Settle a pass that ended in the middle of a journaled call, whatever the code made of that since."""
        if isinstance(current.over, NonDeterminismError):
            failure = write_failure(current.over, current.claim.attempt)
            logger.error("%s", current.over)
            self._finish(current, RunStatus.STALLED, told=True, error=failure, why="diverged")
            return Outcome(RunStatus.STALLED, error=failure, exception=current.over)
        return over(current)

    def _finish(
        self,
        current: Pass,
        status: RunStatus,
        told: bool,
        *,
        why: str,
        output: str | None = None,
        error: str | None = None,
    ) -> None:
        claim = current.claim
        if self._hooks:
            self._hooks.emit(RunFinishing(claim.run_id, claim.workflow, status))
        current.end(status, output=output, error=error, why=why, told=told)
        if self._hooks:
            self._hooks.emit(RunFinished(claim.run_id, claim.workflow, status))
