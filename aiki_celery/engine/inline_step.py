"""``task.run(run, ...)``: give a step's recorded outcome, or run it here and now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aiki_celery.definitions.current import Run
from aiki_celery.definitions.options import StepOptions
from aiki_celery.definitions.task import Task
from aiki_celery.engine.addressing import address_of, bind_call, is_keyed
from aiki_celery.engine.current_pass import Pass
from aiki_celery.engine.recorded_step import write_input
from aiki_celery.engine.step_runner import Step
from aiki_celery.engine.transactional_step import step_kind
from aiki_celery.errors import NonDeterminismError
from aiki_celery.model.events import StepReplayed
from aiki_celery.model.status import StepKind, StepStatus


def perform(
    current: Pass,
    run: Run,
    task: Task[..., Any],
    options: StepOptions,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
) -> Any:
    """Give a step's recorded outcome, or run it and record one. Where it was started, that is waited for.

    Raises:
        InputInvalid: The arguments do not fit.
        NotJournalable: An argument has no JSON form.
        TaskFailed: The task gave up with an undeclared error; a declared one is raised as itself.
        OutcomeUnknown: The task is at-most-once and was interrupted.
        NonDeterminismError: It is not recorded while other steps are that were not asked for.
    """
    values = bind_call(current.record, task, options, args, kwargs)
    address = address_of(task, options, values)
    if is_keyed(task, options):
        # What is recorded there may be of another input: one that is refused must not be answered by that on a replay.
        write_input(current, task, values)
    recorded = current.record.take(address)
    if recorded is not None and recorded.kind is StepKind.LAUNCH:
        return current.future(run, task, recorded, current.key_of(address)).result()
    if recorded is None:
        step = step_kind(task)(current, task, options, values, address)
        # Before the record is looked at: code that goes on after it is refused the same on a replay.
        step.check_input()
        if current.record.unconsumed and not current.record.may_start(address):
            current.over = NonDeterminismError(current.claim.run_id, address, current.record.left_over())
            raise current.over
        return step.run()
    if current.hooks:
        claim = current.claim
        current.hooks.emit(StepReplayed(claim.run_id, claim.workflow, task.name, address, recorded.attempt))
    if recorded.status is StepStatus.COMPLETED:
        return task.signature.read_result(recorded.value or "null")
    Step(current, task, options, values, address).raise_recorded(recorded)
