"""A run as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic_core import from_json

from aiki_celery.model.clock import MICROSECOND, to_datetime
from aiki_celery.model.records import RunView, StartedView, StepRecord, Transition
from aiki_celery.model.status import RunKind, RunStatus, StepKind, StepStatus


def run_line(run: RunView) -> str:
    """Give one line about a run: id, workflow, state, age, reference, reason."""
    reference = f"  {run.reference_id}" if run.reference_id else ""
    return f"{run.id}  {run.definition}  {run.status:<14}  {_moment(run.created_at)}{reference}{_reason(run, '  ')}"


def describe(
    run: RunView,
    steps: Sequence[StepRecord],
    started: Mapping[str, StartedView],
    history: Sequence[Transition],
) -> str:
    """Give everything about a run: its facts, its records in order, its history.

    Args:
        run: The run.
        steps: Its records.
        started: What it has started, by id.
        history: Its transitions.
    """
    lines = [f"{run.definition}  {run.id}", *_facts(run, steps), "", "steps"]
    lines += [_step_line(step, started.get(step.child_id or ""), run.created_at) for step in steps] or [
        "  none"
    ]
    lines += ["", "history"]
    lines += [f"  {_since(line.at, run.created_at)}  {line.status:<14}  {line.reason}" for line in history]
    if run.output is not None:
        lines += ["", f"result     {run.output}"]
    if run.error is not None:
        lines += ["", f"error      {_failure(run.error)}"]
    return "\n".join(lines)


def _facts(run: RunView, steps: Sequence[StepRecord]) -> list[str]:
    attempt = run.attempt
    if run.kind is RunKind.STEP:  # its record is that of its failed attempts
        attempt += sum(step.kind is StepKind.ATTEMPT for step in steps)
    next_due = "next try" if run.status is RunStatus.QUEUED else "due"
    facts = {
        "status": f"{run.status}{_reason(run)}",
        "reference": run.reference_id,
        "parent" if run.kind is RunKind.WORKFLOW else "step of": run.parent_id,
        "queue": run.queue,
        "owner": run.owner,
        next_due: _moment(run.due_at) if run.due_at and not run.status.is_terminal else None,
        "details": run.details and str(from_json(run.details).get("details")),
        "epoch": f"{run.epoch}, attempt {attempt}, {run.recoveries} crashes in a row",
    }
    return [f"  {name:<10} {value}" for name, value in facts.items() if value]


def _reason(run: RunView, gap: str = " ") -> str:
    return f"{gap}({run.reason})" if run.reason else ""


def _step_line(step: StepRecord, child: StartedView | None, start: int) -> str:
    took = max(0, step.finished_at - step.started_at) / MICROSECOND  # what was over before is only found
    if step.child_id is not None:
        what = _start(step, child)
    elif step.kind is StepKind.SLEEP:
        what = f"sleep {step.name!r} until {_moment(step.due_at or 0)}"
    elif step.kind in (StepKind.TASK, StepKind.CHILD):
        what = f"{step.name}  {step.status}" + (f" at attempt {step.attempt}" if step.attempt > 1 else "")
    elif step.kind is StepKind.ATTEMPT:
        what = f"{step.name}  attempt {step.attempt} failed"
    elif step.kind is StepKind.RETRY:
        what = f"attempt {step.attempt} of the workflow failed"
    elif step.kind is StepKind.FIRST:
        what = f"first to be over: {step.value}"
    else:
        what = f"{step.name}  {step.kind}"
    length = "" if step.status is StepStatus.STARTED and step.child_id else f"  {took * 1000:.0f} ms"
    is_told = step.status is StepStatus.FAILED and step.value and step.kind is not StepKind.RETRY
    detail = f"  {_failure(step.value or '{}')}" if is_told else ""
    return f"  {step.seq:>4}  {_since(step.started_at, start)}  {what}{length}{detail}"


def _start(step: StepRecord, child: StartedView | None) -> str:
    """Tell what was started, as which run, on which queue, and where that is now."""
    verb = "child" if step.kind is StepKind.CHILD else "start"
    if child is None:
        return f"{verb} {step.name}  {step.child_id}  {step.status}"
    run = child.run
    tries = f" at attempt {child.attempts}" if child.attempts > 1 else ""
    why = "" if run.status is RunStatus.FAILED else _reason(run)
    queue = f"  queue {run.queue}" if run.queue else ""
    return f"{verb} {run.definition}  {run.id}{queue}  {run.status}{tries}{why}"


def _failure(text: str) -> str:
    failure = from_json(text)
    return f"{failure.get('type')}: {failure.get('message')}"


def _since(at: int, start: int) -> str:
    return f"+{(at - start) / MICROSECOND:10.3f} s"


def _moment(at: int) -> str:
    return to_datetime(at).isoformat(sep=" ", timespec="seconds").replace("+00:00", "Z")
