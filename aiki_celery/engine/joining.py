"""Waiting for what was started: one future, all of several, or the first of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic_core import from_json

from aiki_celery.definitions.future import EventFuture, StepFuture
from aiki_celery.definitions.workflow import Workflow
from aiki_celery.engine.current_pass import Pass
from aiki_celery.engine.events.expecting import look_again, outcome, settle, wanted
from aiki_celery.engine.fact_records import new_fact
from aiki_celery.engine.failures import read_failure
from aiki_celery.engine.put_aside import FailedStep
from aiki_celery.errors import (
    InputInvalid,
    NonDeterminismError,
    StepCancelled,
    WorkflowCancelled,
    WorkflowFailed,
)
from aiki_celery.journal.family.outcomes import with_outcome
from aiki_celery.model.clock import to_datetime
from aiki_celery.model.records import StepRecord
from aiki_celery.model.status import StepKind, StepStatus

Futures = Sequence[StepFuture[Any]]

#: What is not known to be over: a start, or the expectation of an event.
_PENDING = (StepStatus.STARTED, StepStatus.WAITING)


def gather(current: Pass, futures: Futures, *, return_exceptions: bool) -> list[Any]:
    """Wait until all are over, and give their results in the order of the futures.

    Where some failed, that too is waited for, and the first in that order is raised: no result is dropped, and every
    replay raises the same.

    Raises:
        TaskFailed: The first that failed, unless exceptions are returned; a declared one is raised as itself.
    """
    _check(current, futures)
    wait_for(current, futures, need_all=True)
    _have(current, futures)
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
    current.cancel_here()
    wait_for(current, futures, need_all=False)
    current.cancel_here()
    over = [future for future in futures if future.record.status not in _PENDING]
    winner = min(over, key=lambda future: (future.record.finished_at, future.record.seq))
    _have(current, [winner])
    current.write(new_fact(current, StepKind.FIRST, "first", value=str(winner.record.seq)))
    return winner


def wait_for(current: Pass, futures: Futures, *, need_all: bool) -> None:
    """Make sure that all of these are over, or one of them; else suspend the run until they are.

    Raises:
        RunSuspended: They are not over yet.
    """
    while True:
        for future in futures:
            if isinstance(future, EventFuture) and future.record.status in _PENDING:
                settle(current, future)
        pending = [future for future in futures if not _is_over(current, future)]
        if not pending or (len(pending) < len(futures) and not need_all):
            return
        current.cancel_here()
        expected = [future for future in pending if isinstance(future, EventFuture)]
        started = [future for future in pending if not isinstance(future, EventFuture)]
        awaited, events = {future.record.seq for future in started}, wanted(current, expected)
        count = len(awaited) + sum(events.counts.values()) if need_all else 1
        current.await_started(awaited, count, _why(pending, count, started, events.due_at), events)
        if started:
            _refresh(current, started)
            # What ended after a cancel does not count, so that has to be known.
            current.look()
        if expected:
            look_again(current)


def _is_over(current: Pass, future: StepFuture[Any]) -> bool:
    """Tell whether a future may answer the code: it is over, and was so before the run was cancelled, if it was."""
    if future.record.status in _PENDING:
        return False
    # Of an event that is found out when it is answered.
    return isinstance(future, EventFuture) or current.counts(future.record.finished_at)


def _why(pending: Futures, count: int, started: Futures, due_at: int | None) -> str:
    """Say what a run waits for, in the history and wherever it is shown."""
    names = sorted({future.name if future in started else f"event {future.name!r}" for future in pending})
    listed = ", ".join(names[:3]) + ", ..." * (len(names) > 3)
    until = f" until {to_datetime(due_at).isoformat(timespec='milliseconds')}" if due_at is not None else ""
    if not started and len(pending) == 1:
        return f"waits for {listed}{until}"
    what = "started" if len(started) == len(pending) else "expected"
    return f"waits for {count} of {len(pending)} {what}: {listed}{until}"


def _refresh(current: Pass, pending: Futures) -> None:
    """Read what became of those that the run need not wait for."""
    places = [future.record.seq for future in pending]
    found = current.outcomes.of_places(current.claim.run_id, min(places), max(places))
    for future in pending:
        facts = found.get(future.record.seq)
        if facts is not None:
            future.record = with_outcome(future.record, *facts)


def _outcome(future: StepFuture[Any]) -> Any:
    """Give a result, or the exception in its place."""
    record, task = future.record, future.definition
    if isinstance(future, EventFuture):
        return outcome(future)
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
            _have(current, [future])
            return future
    current.over = NonDeterminismError(
        current.claim.run_id, "first", [f"first (won by the start at place {place})"]
    )
    raise current.over


def _have(current: Pass, futures: Futures) -> None:
    """Note which events the code is told of, and that it has come to where it was recorded that none came in time."""
    for future in futures:
        if isinstance(future, EventFuture):
            current.expectations.have(future.record)
            timeout = current.record.timeouts.get(future.record.seq)
            if timeout is not None:
                current.record.come_to(timeout.seq)


def _check(current: Pass, futures: Futures) -> None:
    for future in futures:
        if not isinstance(future, StepFuture):
            raise InputInvalid(
                current.claim.workflow,
                "futures",
                f"what start(...) or expect(...) gave is waited for, not {future!r:.60}; a list is unpacked with *",
            )
        if getattr(future.run, "own_id", None) != current.claim.run_id:
            raise InputInvalid(
                current.claim.workflow, "futures", f"{future!r} belongs to another run, {future.run!r}"
            )
