"""Runs in the caller's own process: journaled, without a broker, waits slept."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from aiki_celery.celery_binding.binding import Binding
from aiki_celery.celery_binding.inline_house import InlineHouse
from aiki_celery.definitions.options import StartOptions
from aiki_celery.definitions.patience import Patience
from aiki_celery.definitions.workflow import Workflow
from aiki_celery.engine.joined import Joined
from aiki_celery.engine.outcome import Outcome
from aiki_celery.engine.ports import Forever
from aiki_celery.errors import JournalUnavailable, RunError, WorkflowCancelled, WorkflowFailed
from aiki_celery.model.records import Claim, Envelope, RunView, StepRecord
from aiki_celery.model.status import RunStatus

logger = logging.getLogger("aiki_celery.run")

#: States that a run may be brought out of from outside.
_WAITS = frozenset({RunStatus.AWAITING_STEPS, RunStatus.AWAITING_EVENT, RunStatus.PAUSED, RunStatus.QUEUED})


def run_new(
    binding: Binding,
    workflow: Workflow[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    run_id: str,
) -> Outcome:
    """Journal a run whose arguments are plain JSON, and do it here to its end.

    Raises:
        InputInvalid: The arguments do not fit.
    """
    bound = workflow.signature.bind_message(args, kwargs)
    binding.journal.ensure_ready()
    run = binding.starter.run_of(
        workflow, bound.values, bound.text, StartOptions(), binding.queue_for(workflow, None), run_id=run_id
    )
    owner = binding.process.owner_here()
    taken = binding.executor.claim_new(run, owner) or binding.executor.claim(run_id, owner)
    return _to_the_end(binding, workflow, run_id, taken)


def run_at_once(
    binding: Binding,
    workflow: Workflow[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    options: StartOptions,
    queue: str,
) -> str:
    """Journal a run and do it here to its end, as ``task_always_eager`` asks; no delay is waited for. Give its id.

    In a transaction of the caller's, it is done after the commit.

    Raises:
        InputInvalid: The arguments do not fit.
        ReferenceConflict: The reference id is taken by a run with other input.
    """
    run = binding.starter.new_run(workflow, args, kwargs, replace(options, delay=None, due_at=None), queue)
    if options.session is not None:
        return _join(binding, workflow, options).start(run, options)
    binding.journal.ensure_ready()
    run_id = binding.journal.starts.insert(run, return_existing=options.on_conflict == "return_existing")
    if run_id == run.id:
        run_queued(binding, workflow, run_id)
    return run_id


def run_many_at_once(
    binding: Binding,
    workflow: Workflow[..., Any],
    calls: Sequence[Sequence[Any]],
    options: StartOptions,
    queue: str,
) -> list[str]:
    """Do what :func:`run_at_once` does for many runs, one after the other, once all of them are in the journal.

    Raises:
        InputInvalid: One of the calls does not fit; nothing was written or run.
    """
    runs = binding.starter.new_runs(workflow, calls, replace(options, delay=None, due_at=None), queue)
    if not runs:
        return []
    if options.session is not None:
        _join(binding, workflow, options).start_many(runs)
    else:
        binding.journal.ensure_ready()
        binding.journal.starts.insert_many(runs)
        for run in runs:
            run_queued(binding, workflow, run.id)
    return [run.id for run in runs]


def _join(binding: Binding, workflow: Workflow[..., Any], options: StartOptions) -> Joined:
    """Join the caller's transaction; what is started in it is done here, after the commit."""

    def run_them(envelopes: Sequence[Envelope]) -> list[str]:
        for envelope in envelopes:
            run_queued(binding, workflow, envelope.run_id)
        return []

    return binding.starter.join(options.session, workflow.name, run_them)


def run_queued(binding: Binding, workflow: Workflow[..., Any], run_id: str) -> Outcome:
    """Do a run here to its end that is in the journal as queued."""
    return _to_the_end(
        binding, workflow, run_id, binding.executor.claim(run_id, binding.process.owner_here())
    )


def wait(
    look: Callable[[], RunView],
    timeout: timedelta | float | None,
    *,
    longest: float = 0.25,
    stop_at_stalled: bool = False,
) -> RunView:
    """Look at a run until it is over, at growing intervals.

    Raises:
        TimeoutError: It was not over in time; says what it is doing.
    """
    patience = Patience(timeout, longest)
    while True:
        run = look()
        if run.status.is_terminal or (stop_at_stalled and run.status is RunStatus.STALLED):
            return run
        time.sleep(patience.pause(run))


def _to_the_end(
    binding: Binding, workflow: Workflow[..., Any], run_id: str, taken: tuple[Claim, list[StepRecord]] | None
) -> Outcome:
    """Run pass after pass, and everything the run starts. If a worker takes it while it waits, wait for the worker."""
    house = InlineHouse(binding, run_id)
    while True:
        if taken is None:
            return _done_elsewhere(binding, run_id)
        outcome = binding.executor.run(workflow, *taken, Forever(), told=True, publish=house.publish)
        if outcome.status is None:
            _refuse_to_wait_for_ourselves(binding, run_id, taken[0].epoch, outcome)
        if outcome.status in _WAITS:
            _tell_of_event(binding, run_id, outcome)
            house.run_until_queued(run_id, outcome.due_at)
        elif outcome.due_at is None or outcome.status in (RunStatus.COMPLETED, RunStatus.FAILED):
            house.run_the_rest()
            return (
                outcome
                if outcome.status not in (None, RunStatus.QUEUED)
                else _done_elsewhere(binding, run_id)
            )
        else:
            house.run_until_queued(run_id, outcome.due_at)
        taken = binding.executor.claim(run_id, binding.process.owner_here())


def _tell_of_event(binding: Binding, run_id: str, outcome: Outcome) -> None:
    """Say why nothing goes on here, where it may be for ever."""
    if outcome.status is RunStatus.AWAITING_EVENT and outcome.due_at is None:
        why = binding.journal.views.get(run_id).reason
        logger.warning(
            "Run %s %s. It goes on here when that is sent by another thread or process.", run_id, why
        )


def _refuse_to_wait_for_ourselves(binding: Binding, run_id: str, epoch: int, outcome: Outcome) -> None:
    """Tell the caller when the run was not taken over by a worker, but the journal was away for too long.

    Raises:
        JournalUnavailable: The run is still this process's; a worker recovers it when this process has ended.
    """
    run = binding.journal.views.get(run_id)
    if run.epoch == epoch and not run.status.is_terminal:
        raise JournalUnavailable(
            f"{outcome.exception}. The run is journaled; a worker goes on with it after this process has ended."
        )


def _done_elsewhere(binding: Binding, run_id: str) -> Outcome:
    run = wait(lambda: binding.journal.views.get(run_id), None, stop_at_stalled=True)
    error: Exception | None = None
    if run.status is RunStatus.CANCELLED:
        error = WorkflowCancelled(run.workflow, run_id, run.reason or "")
    elif run.status is RunStatus.STALLED:
        error = RunError(f"Run {run_id} is stalled: {run.reason}")
    elif run.status is RunStatus.FAILED:
        error = WorkflowFailed(run.workflow, run_id, "", run.reason or "")
    return Outcome(run.status, output=run.output, error=run.error, exception=error)
