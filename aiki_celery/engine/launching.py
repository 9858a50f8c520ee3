"""Starting steps on queues of their own: recorded in the order the code reaches them, many in one transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic_core import to_json

from aiki_celery.definitions.current import Run
from aiki_celery.definitions.future import StepFuture
from aiki_celery.definitions.options import StepOptions
from aiki_celery.definitions.task import Task
from aiki_celery.engine.addressing import address_of, bind_call, is_keyed
from aiki_celery.engine.current_pass import Pass
from aiki_celery.engine.recorded_step import write_input
from aiki_celery.errors import InputInvalid, NonDeterminismError
from aiki_celery.model.canonical import ENCODING_VERSION
from aiki_celery.model.clock import MICROSECOND
from aiki_celery.model.events import StepReplayed
from aiki_celery.model.ids import child_run_id
from aiki_celery.model.records import NewChild, NewRun, StepRecord
from aiki_celery.model.status import RunKind, StepKind, StepStatus

#: Seconds between the exception that tells a step its time is over and the end of its process.
GRACE = 10.0


def launch(
    current: Pass,
    run: Run,
    task: Task[..., Any],
    options: StepOptions,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
) -> StepFuture[Any]:
    """Give the future of a recorded start, or start the task.

    Args:
        current: The pass.
        run: The run, for the future.
        task: What is started.
        options: Options of this start.
        args: Its arguments.
        kwargs: Its arguments.

    Raises:
        InputInvalid: The arguments or options do not fit; nothing was sent or written.
        NonDeterminismError: It is not recorded while other steps are that were not asked for.
    """
    values = bind_call(current.record, task, options, args, kwargs)
    return launch_bound(current, run, task, options, values)


def launch_bound(
    current: Pass,
    run: Run,
    task: Task[..., Any],
    options: StepOptions,
    values: Mapping[str, Any],
    lane: int | None = None,
    *,
    is_held: bool = False,
) -> StepFuture[Any]:
    """Do what :func:`launch` does, with arguments that were validated.

    Args:
        current: The pass.
        run: The run, for the future.
        task: What is started.
        options: Options of this start.
        values: Its arguments by name.
        lane: Place of the first of those that must not all be under way at once.
        is_held: Whether it waits until one of its lane is over.
    """
    address = address_of(task, options, values)
    if is_keyed(task, options):
        # What is recorded there may be of another input: one that is refused must not be answered by that on a replay.
        _input(current, task, values)
    recorded = current.record.take(address)
    key = current.key_of(address)
    if recorded is not None:
        return current.future(run, task, replayed(current, task.name, recorded), key)
    # What may be refused comes before the place is taken, and before the record is looked at: code that goes on after
    # it records more, and is refused the same on a replay.
    text = _input(current, task, values)
    call, queue = _call(current, address, key, task, options), current.route(task, options.queue)
    check_record(current, address)
    record, child_id = new_start(current, StepKind.LAUNCH, task.name, address)
    seconds = options.timeout or task.settings.timeout
    child = NewChild(
        run=NewRun(
            id=child_id,
            workflow=task.name,
            version="",
            input=text,
            input_hash="",
            encoding=ENCODING_VERSION,
            queue=queue,
            priority=options.priority,
            request=_time_limits(seconds),
        ),
        kind=RunKind.STEP,
        parent_seq=record.seq,
        lane=lane,
        is_held=is_held,
        timeout=None if seconds is None else int(seconds * MICROSECOND),
        call=call,
    )
    current.start(record, child)
    return current.future(run, task, record, key)


def new_start(current: Pass, kind: StepKind, name: str, address: str) -> tuple[StepRecord, str]:
    """Take the next place of the record for a start; give that, and the id of the run it makes."""
    seq, now = current.next_seq(), current.clock.now()
    current.record.starts += 1
    child_id = child_run_id(current.claim.run_id, seq)
    record = StepRecord(
        seq=seq,
        kind=kind,
        name=name,
        address=address,
        status=StepStatus.STARTED,
        attempt=1,
        epoch=current.claim.epoch,
        started_at=now,
        finished_at=now,
        child_id=child_id,
    )
    return record, child_id


def check_record(current: Pass, address: str) -> None:
    """Make sure that something new may be started.

    Raises:
        RunCancelled: The run is being cancelled.
        ChildLimitExceeded: The run has started as many as it may; said first, as it will be on every replay.
        NonDeterminismError: Recorded steps were not asked for.
    """
    current.check_children()
    if not current.record.may_start(address):
        current.over = NonDeterminismError(current.claim.run_id, address, current.record.left_over())
        raise current.over
    current.cancel_here(address)


def replayed(current: Pass, name: str, recorded: StepRecord) -> StepRecord:
    """Give a recorded start, and tell the hooks if its outcome is known."""
    if current.hooks and recorded.status is not StepStatus.STARTED:
        claim = current.claim
        current.hooks.emit(
            StepReplayed(claim.run_id, claim.workflow, name, recorded.address, recorded.attempt)
        )
    return recorded


def launch_all(
    current: Pass,
    run: Run,
    task: Task[..., Any],
    items: Iterable[Any],
    max_concurrency: int | None,
) -> list[StepFuture[Any]]:
    """Start a task once for each item, so many of them at once.

    Raises:
        InputInvalid: An item does not fit, and none was started; or ``max_concurrency`` is no number above zero.
        ChildLimitExceeded: They are more than the run may start, and none was started.
    """
    if not isinstance(task, Task):
        raise InputInvalid(
            current.claim.workflow,
            "task",
            f"map takes a task, not {task!r:.60}; of anything else, gather what start(...) gives for each item",
        )
    if max_concurrency is not None and not (isinstance(max_concurrency, int) and max_concurrency > 0):
        raise InputInvalid(task.name, "max_concurrency", f"must be 1 or more, not {max_concurrency!r}")
    lane = None if max_concurrency is None else current.record.last_seq + 1
    bound = [bind_call(current.record, task, task.step_options, (item,), {}) for item in items]
    _check_children(current, task, bound)
    futures: list[StepFuture[Any]] = []
    for values in bound:
        new = current.record.last_seq + 1 - (lane or 0)
        is_held = max_concurrency is not None and new >= max_concurrency
        futures.append(launch_bound(current, run, task, task.step_options, values, lane, is_held=is_held))
    return futures


def _check_children(current: Pass, task: Task[..., Any], bound: Sequence[Mapping[str, Any]]) -> None:
    """Make sure that the run may start all of these that it has not started yet.

    Raises:
        ChildLimitExceeded: It may not.
    """
    if current.record.starts + len(bound) <= current.settings.max_children:
        return
    calls = Counter(address_of(task, task.step_options, values) for values in bound)
    new = sum(max(0, count - current.record.left_at(address)) for address, count in calls.items())
    current.check_children(new)


def _input(current: Pass, task: Task[..., Any], values: Mapping[str, Any]) -> str:
    """Write an input that the step's worker can read."""
    text = write_input(current, task, values)
    task.signature.check_readable(values)
    return text


def _time_limits(seconds: float | None) -> str | None:
    """Give the options by which Celery enforces a time limit, where the pool can."""
    if seconds is None:
        return None
    return to_json({"soft_time_limit": seconds, "time_limit": seconds + GRACE}).decode()


def _call(current: Pass, address: str, key: str, task: Task[..., Any], options: StepOptions) -> str:
    """Write what the step's worker needs to know of the call."""
    policy = None
    if options.retry is not None:
        if options.retry.plan is None or options.retry.retry_on or options.retry.give_up_on:
            raise InputInvalid(
                task.name,
                "retry",
                "a policy with retry_on=, give_up_on= or tenacity's strategies cannot travel with a step that is "
                "started: set it on the task with @task(retry=...)",
            )
        policy = options.retry.plan.model_dump()
    claim = current.claim
    return to_json(
        {"run": claim.run_id, "workflow": claim.workflow, "address": address, "key": key, "retry": policy}
    ).decode()
