"""A workflow that waits for events, sent by its own steps: killed between sending and sent, parked and queued."""

from __future__ import annotations

from aiki_celery import EventTimeout, WorkflowRun, current_step, event, task, workflow
from tests.harness.telling import tell

approval = event("crash-approval", str)
denial = event("crash-denial", str)


@task(name="crash-send")
def send(run_id: str, by: str) -> str:
    """A step that is run again sends again, and the run counts it once."""
    tell("send", by=by)
    approving.handle(run_id).send(approval, by, id=current_step().idempotency_key)
    return f"{by} asked"


@task(name="crash-note-approval")
def note(by: list[str]) -> list[str]:
    """What the run makes of it."""
    tell("approved", by=",".join(by))
    return by


@workflow(name="crash-approving")
def approving(run: WorkflowRun) -> list[str]:
    """Events beside a started step, events that are there before the wait, and one that never comes."""
    denied = run.expect(denial, timeout=0.05)
    asked, first = run.gather(send.start(run, run.id, "ann"), run.expect(approval, timeout=60))
    asked_again = send.run(run, run.id, "bob")
    second = run.wait_for(approval)
    send.start(run, run.id, "cid")
    third = run.wait_for(approval)
    try:
        answer = denied.result()
    except EventTimeout:
        answer = "not denied"
    return note.run(run, [asked, asked_again, first, second, third, answer])
