"""A run as text."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic_core import from_json

from aiki_celery.model.clock import MICROSECOND, to_datetime
from aiki_celery.model.records import RunView, StepRecord, Transition
from aiki_celery.model.status import RunStatus, StepKind, StepStatus


def run_line(run: RunView) -> str:
    """Give one line about a run: id, workflow, state, age, reference, reason."""
    reference = f"  {run.reference_id}" if run.reference_id else ""
    reason = f"  ({run.reason})" if run.reason else ""
    return f"{run.id}  {run.workflow}@{run.version}  {run.status:<14}  {_moment(run.created_at)}{reference}{reason}"


def describe(run: RunView, steps: Sequence[StepRecord], history: Sequence[Transition]) -> str:
    """Give everything about a run: its facts, its records in order, its history."""
    lines = [f"{run.workflow}@{run.version}  {run.id}", f"  status     {run.status}" + _reason(run)]
    if run.reference_id:
        lines.append(f"  reference  {run.reference_id}")
    if run.owner:
        lines.append(f"  owner      {run.owner}")
    if run.due_at and not run.status.is_terminal:
        lines.append(
            f"  {'due' if run.status is not RunStatus.QUEUED else 'next try':<10} {_moment(run.due_at)}"
        )
    lines += [
        f"  epoch      {run.epoch}, attempt {run.attempt}, {run.recoveries} crashes in a row",
        "",
        "steps",
    ]
    lines += [_step_line(step, run.created_at) for step in steps] or ["  none"]
    lines += ["", "history"]
    lines += [f"  {_since(line.at, run.created_at)}  {line.status:<14}  {line.reason}" for line in history]
    if run.output is not None:
        lines += ["", f"result     {run.output}"]
    if run.error is not None:
        failure = from_json(run.error)
        lines += ["", f"error      {failure.get('type')}: {failure.get('message')}"]
    return "\n".join(lines)


def _reason(run: RunView) -> str:
    return f" ({run.reason})" if run.reason else ""


def _step_line(step: StepRecord, start: int) -> str:
    took = (step.finished_at - step.started_at) / MICROSECOND
    if step.kind is StepKind.SLEEP:
        what = f"sleep {step.name!r} until {_moment(step.due_at or 0)}"
    elif step.kind is StepKind.TASK:
        what = f"{step.name}  {step.status}" + (f" at attempt {step.attempt}" if step.attempt > 1 else "")
    elif step.kind is StepKind.ATTEMPT:
        what = f"{step.name}  attempt {step.attempt} failed"
    elif step.kind is StepKind.RETRY:
        what = f"attempt {step.attempt} of the workflow failed"
    else:
        what = f"{step.name}  {step.kind}"
    detail = ""
    if step.status is StepStatus.FAILED and step.value and step.kind is not StepKind.RETRY:
        failure = from_json(step.value)
        detail = f"  {failure.get('type')}: {failure.get('message')}"
    return f"  {step.seq:>4}  {_since(step.started_at, start)}  {what}  {took * 1000:.0f} ms{detail}"


def _since(at: int, start: int) -> str:
    return f"+{(at - start) / MICROSECOND:10.3f} s"


def _moment(at: int) -> str:
    return to_datetime(at).isoformat(sep=" ", timespec="seconds").replace("+00:00", "Z")
