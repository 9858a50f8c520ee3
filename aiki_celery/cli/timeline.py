"""A run as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic_core import from_json

from aiki_celery.cli.asked_lines import asked, asked_line
from aiki_celery.cli.event_lines import EventLines
from aiki_celery.cli.moments import moment, since
from aiki_celery.model.clock import MICROSECOND
from aiki_celery.model.progress import read_progress
from aiki_celery.model.received import Received
from aiki_celery.model.records import RunView, StartedView, StepRecord, Transition
from aiki_celery.model.status import RunKind, RunStatus, StepKind, StepStatus

#: Characters of a run's input and result that are shown to people.
SHOWN = 2_000


def run_lines(runs: Sequence[RunView]) -> list[str]:
    """Give a line about each run: id, workflow, state, age, reference, reason."""
    width = max((len(run.definition) for run in runs), default=0)
    return [_run_line(run, width) for run in runs]


def _run_line(run: RunView, width: int) -> str:
    reference = f"  {run.reference_id}" if run.reference_id else ""
    name, created = f"{run.definition:<{width}}", moment(run.created_at)
    return f"{run.id}  {name}  {run.status:<14}  {created}{reference}{_reason(run, '  ')}"


def describe(
    run: RunView,
    steps: Sequence[StepRecord],
    started: Mapping[str, StartedView],
    history: Sequence[Transition],
    inbox: Sequence[Received] = (),
) -> str:
    """Give everything about a run: its facts, its records in order, its history.

    Args:
        run: The run.
        steps: Its records.
        started: What it has started, by id.
        history: Its transitions.
        inbox: What it has received.
    """
    lines = [f"{run.definition}  {run.id}  {moment(run.created_at)}", *_facts(run, steps), "", "steps"]
    events = EventLines(steps, inbox, is_over=run.status.is_terminal)
    lines += [_step_line(step, started.get(step.child_id or ""), run.created_at, events) for step in steps]
    lines += [] if steps else ["  none"]
    unexpected = events.unexpected(run.created_at)
    lines += ["", "received, not asked for yet", *unexpected] if unexpected else []
    lines += ["", "history"]
    lines += [f"  {since(line.at, run.created_at)}  {line.status:<14}  {line.reason}" for line in history]
    lines += ["", f"input      {_cut(run.input)}"]
    if run.output is not None:
        lines += ["", f"result     {_cut(run.output)}"]
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
        "schedule": run.schedule and f"{run.schedule}, due {moment(run.scheduled_for or 0)}",
        "forked": run.forked_from and f"from {run.forked_from}",
        "generation": run.generation,
        "progress": read_progress(run.progress_note),
        **asked(run),
        "queue": run.queue,
        "owner": run.owner,
        next_due: moment(run.due_at) if run.due_at and not run.status.is_terminal else None,
        "details": run.details and str(from_json(run.details).get("details")),
        "epoch": f"{run.epoch}, attempt {attempt}, {run.recoveries} crashes in a row",
    }
    return [f"  {name:<10} {value}" for name, value in facts.items() if value]


def _cut(text: str) -> str:
    return (
        text
        if len(text) <= SHOWN
        else f"{text[:SHOWN]}... ({len(text):,} characters; all of them with --json)"
    )


def _reason(run: RunView, gap: str = " ") -> str:
    return f"{gap}({run.reason})" if run.reason else ""


def _step_line(step: StepRecord, child: StartedView | None, start: int, events: EventLines) -> str:
    took = max(0, step.finished_at - step.started_at) / MICROSECOND  # what was over before is only found
    if step.child_id is not None:
        what = _start(step, child)
    elif step.kind is StepKind.SLEEP:
        what = f"sleep {step.name!r} until {moment(step.due_at or 0)}"
    elif step.kind in (StepKind.TASK, StepKind.CHILD):
        what = f"{step.name}  {step.status}" + (f" at attempt {step.attempt}" if step.attempt > 1 else "")
    elif step.kind is StepKind.ATTEMPT:
        what = f"{step.name}  attempt {step.attempt} failed"
    elif step.kind is StepKind.RETRY:
        what = _marker(step)
    elif step.kind is StepKind.PATCH:
        what = f"patch {step.name!r} taken"
    elif step.kind is StepKind.EVENT:
        what = events.expectation(step)
    elif step.kind is StepKind.TIMEOUT:
        what = f"event {step.name!r}  its time was over: the wait of {step.value}"
    elif step.kind is StepKind.CALLBACK:
        what = f"callback for event {step.name!r} until {moment(step.due_at or 0)}"
    elif step.kind is StepKind.FIRST:
        what = f"first to be over: {step.value}"
    elif step.kind in (StepKind.WAKE, StepKind.CANCEL):
        what = asked_line(step)
    else:
        what = f"{step.name}  {step.kind}"
    is_open = step.kind in (StepKind.EVENT, StepKind.CANCEL, StepKind.SLEEP, StepKind.RETRY) or (
        step.status is StepStatus.STARTED and step.child_id
    )
    length = "" if is_open else f"  {took * 1000:.0f} ms"
    is_told = step.status is StepStatus.FAILED and step.value and step.kind is not StepKind.RETRY
    detail = f"  {_failure(step.value or '{}')}" if is_told else ""
    return f"  {step.seq:>4}  {since(step.started_at, start)}  {what}{length}{detail}"


def _marker(step: StepRecord) -> str:
    """Tell why a part of the record is put aside."""
    if step.name == "forked":
        return "forked; what had ended with the other run, or had failed, is started again"
    undone = ", what was undone is done again" if step.name != "retry" else ""
    return f"attempt {step.attempt} of the workflow failed{undone}"


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
