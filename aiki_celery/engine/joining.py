"""Waiting for what was started: one future, all of several, or the first of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic_core import from_json

from aiki_celery.definitions.future import StepFuture
from aiki_celery.definitions.workflow import Workflow
from aiki_celery.engine.current_pass import Pass
from aiki_celery.engine.failures import read_failure
from aiki_celery.engine.replay import FailedStep
from aiki_celery.errors import (
    InputInvalid,
    NonDeterminismError,
    StepCancelled,
    WorkflowCancelled,
    WorkflowFailed,
)
from aiki_celery.journal.outcomes import with_outcome
from aiki_celery.model.records import StepRecord
from aiki_celery.model.status import StepKind, StepStatus

Futures = Sequence[StepFuture[Any]]


def gather(current: Pass, futures: Futures, *, return_exceptions: bool) -> list[Any]:
    """Wait until all are over, and give their results in the order of the futures.

    Where some failed, that too is waited for, and the first in that order is raised: no result is dropped, and every
    replay raises the same.

    Raises:
        TaskFailed: The first that failed, unless exceptions are returned; a declared one is raised as itself.
    """
    _check(current, futures)
    wait_for(current, futures, need_all=True)
    results = [_outcome(future) for future in futures]
    failed = {
        future.record.seq: error
        for future, error in zip(futures, results, strict=True)
        if future.record.status is not StepStatus.COMPLETED
    }
    places, reached = tuple(sorted(failed)), current.record.reached
    for error in failed.values():
        current.failed.append(FailedStep(error, places[0], places, reached))
    if failed and not return_exceptions:
        raise next(iter(failed.values()))
    return results


def first(current: Pass, futures: Futures) -> StepFuture[Any]:
    """Wait until one is over, record which was the first, and give it: the same on every replay."""
    _check(current, futures)
    if not futures:
        raise InputInvalid(current.claim.workflow, "futures", "first() needs at least one future")
    recorded = current.record.take_fact("first")
    if recorded is not None:
        return _recorded_winner(current, futures, int(recorded.value or "0"))
    wait_for(current, futures, need_all=False)
    over = [future for future in futures if future.record.status is not StepStatus.STARTED]
    winner = min(over, key=lambda future: (future.record.finished_at, future.record.seq))
    now = current.clock.now()
    current.write(
        StepRecord(
            seq=current.next_seq(),
            kind=StepKind.FIRST,
            name="first",
            address="first",
            status=StepStatus.COMPLETED,
            attempt=1,
            epoch=current.claim.epoch,
            started_at=now,
            finished_at=now,
            value=str(winner.record.seq),
        )
    )
    return winner


def wait_for(current: Pass, futures: Futures, *, need_all: bool) -> None:
    """Make sure that all of these are over, or one of them; else suspend the run until they are.

    Raises:
        RunSuspended: They are not over yet.
    """
    while True:
        pending = [future for future in futures if future.record.status is StepStatus.STARTED]
        if not pending or (len(pending) < len(futures) and not need_all):
            return
        awaited = {future.record.seq for future in pending}
        count = len(awaited) if need_all else 1
        names = sorted({future.name for future in pending})
        why = (
            f"waits for {count} of {len(awaited)} started: {', '.join(names[:3])}{', ...' * (len(names) > 3)}"
        )
        current.await_started(awaited, count, why)
        _refresh(current, pending)


def _refresh(current: Pass, pending: Futures) -> None:
    """Read what became of those that the run need not wait for."""
    places = [future.record.seq for future in pending]
    found = current.outcomes.of_places(current.claim.run_id, min(places), max(places))
    for future in pending:
        outcome = found.get(future.record.seq)
        if outcome is not None:
            future.record = with_outcome(future.record, *outcome)


def _outcome(future: StepFuture[Any]) -> Any:
    """Give a result, or the exception in its place."""
    record, task = future.record, future.definition
    if isinstance(task, Workflow):
        return _outcome_of_child(record, task)
    if record.status is StepStatus.COMPLETED:
        return task.signature.read_result(record.value or "null")
    if record.status is StepStatus.CANCELLED:
        return StepCancelled(task.name, record.child_id or "")
    return read_failure(record.value or "{}", task.name, task.settings.raises, future.idempotency_key)


def _outcome_of_child(record: StepRecord, workflow: Workflow[..., Any]) -> Any:
    if record.status is StepStatus.COMPLETED:
        return workflow.signature.read_result(record.value or "null")
    run_id = record.child_id or ""
    if record.status is StepStatus.CANCELLED:
        return WorkflowCancelled(workflow.name, run_id)
    error = from_json(record.value or "{}")
    return WorkflowFailed(
        workflow.name, run_id, error.get("type", ""), error.get("message", ""), error.get("traceback", "")
    )


def _recorded_winner(current: Pass, futures: Futures, place: int) -> StepFuture[Any]:
    for future in futures:
        if future.record.seq == place:
            return future
    current.over = NonDeterminismError(
        current.claim.run_id, "first", [f"first (won by the start at place {place})"]
    )
    raise current.over


def _check(current: Pass, futures: Futures) -> None:
    for future in futures:
        if not isinstance(future, StepFuture):
            raise InputInvalid(
                current.claim.workflow,
                "futures",
                f"what start(...) gave is waited for, not {future!r:.60}; a list is unpacked with *",
            )
        if getattr(future.run, "id", None) != current.claim.run_id:
            raise InputInvalid(
                current.claim.workflow, "futures", f"{future!r} belongs to another run, {future.run!r}"
            )
