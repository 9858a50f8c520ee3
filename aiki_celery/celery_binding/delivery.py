"""A message's life in a worker: find its run, take it, run a pass, tell Celery how it ended."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from celery.exceptions import Ignore
from pydantic_core import from_json

from aiki_celery.celery_binding.binding import Binding
from aiki_celery.celery_binding.chord_claim import claim_seconds
from aiki_celery.celery_binding.expiry import Expired, has_expired
from aiki_celery.celery_binding.message import has_callbacks, is_journal_first, kept_options, unknown_version
from aiki_celery.definitions.options import StartOptions
from aiki_celery.definitions.registry import registry
from aiki_celery.definitions.workflow import Workflow
from aiki_celery.engine.outcome import Outcome
from aiki_celery.errors import RunNotFound, WorkflowCancelled, WorkflowFailed
from aiki_celery.model.clock import MICROSECOND
from aiki_celery.model.records import Claim, StepRecord
from aiki_celery.model.status import RunStatus

logger = logging.getLogger("aiki_celery.delivery")


class Delivery:
    """One message about a run.

    Args:
        binding: The application and its journal.
        task: The compiled task it was sent to.
        request: Celery's request (``Context``).
    """

    def __init__(self, binding: Binding, task: Any, request: Any) -> None:
        self._binding = binding
        self._task = task
        self._request = request
        self._headers: Mapping[str, Any] = vars(request)

    def handle(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Do what the message asks for, and give the result that Celery passes on.

        Raises:
            Ignore: There is no result now: the run waits, was handed over, or belongs to somebody else.
            Exception: The run failed; this is its error.
        """
        version = unknown_version(self._headers)
        if version is not None:
            logger.error(
                "Message for run %s has version %r, which is unknown here; dropped.",
                self._request.id,
                version,
            )
            raise Ignore
        if self._binding.process.drain.is_up:
            self._leave_for_others(args, kwargs)
        self._binding.journal.ensure_ready()
        taken = self._take(args, kwargs)
        if taken is None:
            return self._retell()
        claim, steps = taken
        workflow = registry.workflow(claim.workflow, claim.version)
        if workflow is None:
            self._return_unknown(claim)
        outcome = self._binding.executor.run(
            workflow, claim, steps, self._binding.process.host, told=not self._must_tell()
        )
        return self._answer(outcome)

    def _take(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Claim, list[StepRecord]] | None:
        """Take the run: a new one whose input is in the message, or one that is in the journal."""
        owner = self._binding.process.owner()
        if is_journal_first(self._headers):
            return self._binding.executor.claim(self._request.id, owner)
        self._refuse_expired()
        workflow = self._task.workflow
        bound = workflow.signature.bind_message(args, kwargs)
        delivered = self._request.delivery_info or {}
        run = self._binding.starter.run_of(
            workflow,
            bound.values,
            bound.text,
            StartOptions(priority=delivered.get("priority")),
            delivered.get("routing_key") or self._binding.queue_for(workflow, None),
            run_id=self._request.id,
            origin="message",
            request=kept_options(self._request),
        )
        return self._binding.executor.claim_new(run, owner) or self._binding.executor.claim(run.id, owner)

    def _refuse_expired(self) -> None:
        """Let a message go that comes too late to start a run; one that is in the journal began in time."""
        is_late = has_expired(self._binding.app, self._request.expires)
        if is_late and self._binding.journal.views.status(self._request.id) is None:
            raise Expired

    def _retell(self) -> Any:
        """Give the recorded outcome of a finished run again, if nobody has confirmed that Celery heard of it."""
        journal, run_id = self._binding.journal, self._request.id
        if self._request.chord and self._put_off(run_id):
            raise Ignore
        if not journal.claims.claim_settlement(run_id, self._binding.process.owner(), uuid.uuid4().hex):
            logger.debug("Message for run %s: nothing to do; it is held, waiting, told or unknown.", run_id)
            raise Ignore
        if not self._must_tell():
            journal.settlements.confirm([run_id])
            raise Ignore
        run = journal.views.get(run_id)
        logger.info("Run %s is %s; telling its callbacks again.", run_id, run.status)
        cancelled = WorkflowCancelled(run.workflow, run_id, run.reason or "")
        is_cancelled = run.status is RunStatus.CANCELLED
        return self._answer(
            Outcome(
                run.status, output=run.output, error=run.error, exception=cancelled if is_cancelled else None
            )
        )

    def _put_off(self, run_id: str) -> bool:
        """Leave a run to a later message while a dead process may hold its chord: a result told now would be lost."""
        journal = self._binding.journal
        try:
            finished_at = journal.views.get(run_id).finished_at
        except RunNotFound:
            return False
        if finished_at is None:
            return False
        free_at = finished_at + int(claim_seconds(self._binding.app.conf) * MICROSECOND)
        if free_at <= journal.now():
            return False
        journal.settlements.put_off([run_id], free_at)
        return True

    def _answer(self, outcome: Outcome) -> Any:
        if outcome.status is RunStatus.COMPLETED:
            return from_json(outcome.output or "null")
        if outcome.status is RunStatus.FAILED:
            raise outcome.exception or self._recorded_error(outcome.error or "{}")
        if outcome.status is RunStatus.CANCELLED:
            raise outcome.exception or WorkflowCancelled(self._task.workflow.name, self._request.id)
        raise Ignore

    def _recorded_error(self, text: str) -> WorkflowFailed:
        error = from_json(text)
        return WorkflowFailed(
            self._task.workflow.name, self._request.id, error.get("type", ""), error.get("message", "")
        )

    def _must_tell(self) -> bool:
        """Tell whether somebody outside hears of the run's end from Celery: a callback, a chord, a result backend."""
        return has_callbacks(self._request) or self._task.stores_result(self._request)

    def _leave_for_others(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Do not begin a run on a worker that is ending: let another worker's sweep send it."""
        if is_journal_first(self._headers):
            self._binding.journal.timers.mark_unpublished([self._request.id])
            raise Ignore

    def _return_unknown(self, claim: Claim) -> NoReturn:
        """Give back a run of a version that this worker does not have."""
        logger.warning(
            "Run %s needs %s@%s, which this worker does not have.",
            claim.run_id,
            claim.workflow,
            claim.version,
        )
        self._binding.executor.give_back(claim, "the worker does not have its version")
        raise Ignore


def result_of(workflow: Workflow[..., Any], outcome: Outcome) -> Any:
    """Give the typed result of a completed run."""
    return workflow.signature.read_result(outcome.output or "null")
