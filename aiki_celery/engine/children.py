"""Child workflows: runs of their own, started by a run and recorded in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from pydantic_core import from_json

from aiki_celery.definitions.current import Run
from aiki_celery.definitions.future import StepFuture
from aiki_celery.definitions.options import StartOptions, refuse_session
from aiki_celery.definitions.signature import Arguments
from aiki_celery.definitions.workflow import Workflow
from aiki_celery.engine.current_pass import Pass
from aiki_celery.engine.failures import write_failure
from aiki_celery.engine.launching import check_record, new_start, replayed
from aiki_celery.engine.starting import make_run
from aiki_celery.errors import InputInvalid, NotJournalable, ReferenceConflict
from aiki_celery.model.clock import MICROSECOND
from aiki_celery.model.ids import child_run_id
from aiki_celery.model.records import NewChild, StepRecord
from aiki_celery.model.status import RunKind, StepKind, StepStatus


def launch_child(
    current: Pass,
    run: Run,
    workflow: Workflow[..., Any],
    options: StartOptions,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    request: str | None = None,
) -> StepFuture[Any]:
    """Give the future of a recorded child, or start one.

    Args:
        current: The pass.
        run: The run, for the future.
        workflow: What is started.
        options: Options of this start.
        args: Its arguments.
        kwargs: Its arguments.
        request: Options for Celery that its messages carry, as JSON text.

    Raises:
        InputInvalid: The arguments do not fit; nothing was sent or written.
        ReferenceConflict: The reference id is taken by a run with other input.
        NonDeterminismError: It is not recorded while other steps are that were not asked for.
    """
    refuse_session(workflow.name, options, "a child is written with its parent's record; leave session= out")
    bound = _bound(current, workflow, options, args, kwargs)
    address = _address_of_input(workflow, bound.values)
    if options.key is not None:
        address = f"{workflow.name}@#{options.key}"
        # What is recorded there may be of another input: one that is refused must not be answered by that on a replay.
        current.check_size(bound.text, workflow.name, "the input")
    recorded = current.record.take(address)
    key = current.key_of(address)
    if recorded is not None:
        if recorded.child_id is None:
            raise _recorded_conflict(recorded)
        return _future(current, run, workflow, options, replayed(current, workflow.name, recorded), key)
    current.check_size(bound.text, workflow.name, "the input")
    queue = current.route(workflow, options.queue)
    check_record(current, address)
    record, child_id = new_start(current, StepKind.CHILD, workflow.name, address)
    limit = current.settings.max_payload
    child = NewChild(
        run=make_run(
            workflow,
            bound.values,
            bound.text,
            _from_now(options, record.started_at),
            queue,
            limit,
            run_id=child_id,
            request=request,
        ),
        kind=RunKind.WORKFLOW,
        parent_seq=record.seq,
        on_close="cancel" if options.on_parent_close == "cancel" else None,
    )
    current.record.closes = True
    if options.reference_id is None:
        current.start(record, child)
    else:
        record = _by_reference(current, record, child, options)
    return _future(current, run, workflow, options, record, key)


def _bound(
    current: Pass,
    workflow: Workflow[..., Any],
    options: StartOptions,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
) -> Arguments:
    """Bind the arguments of a child; see :func:`aiki_celery.engine.addressing.bind_call`."""
    signature = workflow.signature
    try:
        return signature.bind_input(args, kwargs)
    except InputInvalid:
        if options.key is None:
            with suppress(InputInvalid, NotJournalable):
                values = signature.bind_values(args, kwargs, is_judged=False)
                if current.record.is_recorded(_address_of_input(workflow, values)):
                    return Arguments(values, signature.write(values))
        raise


def _address_of_input(workflow: Workflow[..., Any], values: Mapping[str, Any]) -> str:
    return f"{workflow.name}@:{workflow.signature.hash(values)}"


def _future(
    current: Pass,
    run: Run,
    workflow: Workflow[..., Any],
    options: StartOptions,
    record: StepRecord,
    key: str,
) -> StepFuture[Any]:
    """Give the future of a child. A saga need not know of one that goes on by itself, or is somebody else's."""
    is_own = record.child_id == child_run_id(current.claim.run_id, record.seq)
    if is_own and options.on_parent_close == "cancel":
        return current.future(run, workflow, record, key)
    return StepFuture(run, workflow, record, key)


def _by_reference(current: Pass, record: StepRecord, child: NewChild, options: StartOptions) -> StepRecord:
    """Start a child at once, or find the run that has the reference id; a conflict is recorded too."""
    try:
        return current.start_referenced(
            record, child, return_existing=options.on_conflict == "return_existing"
        )
    except ReferenceConflict as conflict:
        failure = write_failure(conflict, 1)
        current.write(record._replace(status=StepStatus.FAILED, value=failure, child_id=None))
        raise


def _recorded_conflict(recorded: StepRecord) -> ReferenceConflict:
    workflow, reference_id, run_id = from_json(recorded.value or "{}")["args"]
    return ReferenceConflict(workflow, reference_id, run_id)


def _from_now(options: StartOptions, now: int) -> StartOptions:
    """Turn an instant into a delay: a start is written with one."""
    if options.due_at is None:
        return options
    return replace(options, due_at=None, delay=max(0.0, (options.due_at - now) / MICROSECOND))
