"""Events for runs that are done in the caller's own process, and the commands about them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from celery import Celery
from click.testing import CliRunner, Result

from aiki_celery import Aiki, EventTimeout, RunStatus, WorkflowRun, event, task, workflow
from aiki_celery.cli import aiki as command
from aiki_celery.engine.ports import Forever
from aiki_celery.model.events import RunParked

approved = event("process-approved", dict[str, str])
wanted = event("process-wanted", int)


@task(name="process-act")
def act(number: int) -> int:
    """Does something."""
    return number


@workflow(name="process-waiting")
def waiting(run: WorkflowRun, timeout: float | None) -> str:
    """Waits for one event."""
    act.run(run, 1)
    try:
        return run.wait_for(approved, timeout)["by"]
    except EventTimeout:
        return "nobody"


@workflow(name="process-mixed")
def mixed(run: WorkflowRun) -> list[int]:
    """Waits for a step, an event and a child that waits itself."""
    return run.gather(act.start(run, 1), run.expect(wanted, 30), child.start(run))


@workflow(name="process-child")
def child(run: WorkflowRun) -> int:
    """Waits for an event while its parent waits for it; an hour at most, which nobody has."""
    return run.wait_for(wanted, 3600)


@workflow(name="process-abandoning")
def abandoning(run: WorkflowRun) -> str:
    """Leaves a child behind that waits for ever."""
    waiting.options(on_parent_close="abandon").start(run, None)
    return "gone"


@pytest.fixture
def aiki(tmp_path: Path) -> Iterator[Aiki]:
    """An application without a worker."""
    app = Celery("process", broker="memory://", set_as_current=False)
    with Aiki(app, journal=f"sqlite:///{tmp_path}/process.sqlite3") as extension:
        yield extension
        extension.close()


def send_when_parked(aiki: Aiki, what: str, payloads: dict[str, object]) -> list[str]:
    """Sends to each run of this workflow once it waits, as another thread does; gives who was sent to."""
    told: list[str] = []

    def send(parked: RunParked) -> None:
        if parked.workflow in payloads and parked.run_id not in told:
            told.append(parked.run_id)
            kind = {"process-approved": approved, "process-wanted": wanted}[what]
            arguments = (parked.run_id, parked.workflow, kind, payloads[parked.workflow])
            threading.Thread(target=aiki.sender.send, args=arguments).start()

    aiki.on(RunParked, send)
    return told


def shell(aiki: Aiki, *words: str) -> Result:
    """Gives a command."""
    return CliRunner().invoke(command, ["run", *words], obj=SimpleNamespace(app=aiki.app))


@pytest.mark.parametrize("timeout", [None, 3600.0])
def test_apply_waits_for_an_event_of_another_thread(aiki: Aiki, timeout: float | None) -> None:
    """It looks at the journal; a long timeout is no long sleep."""
    told = send_when_parked(aiki, "process-approved", {"process-waiting": {"by": "ann"}})
    began = time.monotonic()
    result = waiting.apply((timeout,))
    assert ("ann", [result.id]) == (result.get(), told)
    assert time.monotonic() - began < 20


def test_apply_says_that_it_waits_for_ever(aiki: Aiki, caplog: pytest.LogCaptureFixture) -> None:
    """Somebody who wonders why a script does not go on finds out."""
    send_when_parked(aiki, "process-approved", {"process-waiting": {"by": "ann"}})
    result = waiting.apply((None,))
    assert (
        f"Run {result.id} waits for event 'process-approved'. It goes on here when that is sent by another thread or "
        "process."
    ) in [record.getMessage() for record in caplog.records]


def test_apply_honours_a_timeout(aiki: Aiki) -> None:
    """As a worker would."""
    assert "nobody" == waiting.apply((0.1,)).get()


def test_apply_waits_for_events_of_children_too(aiki: Aiki) -> None:
    """The child's event wakes the child, whose end wakes the parent."""
    send_when_parked(aiki, "process-wanted", {"process-mixed": 2, "process-child": 3})
    assert [1, 2, 3] == mixed.apply().get()


def test_apply_leaves_a_child_that_waits_for_ever(aiki: Aiki) -> None:
    """A worker has it when its event comes."""
    result = abandoning.apply()
    assert "gone" == result.get()
    [left] = aiki.journal.views.find(parent_id=result.id)
    assert RunStatus.AWAITING_EVENT is left.status


def test_eager_start_waits_for_an_event(aiki: Aiki) -> None:
    """Under `task_always_eager`; nothing is sent to a broker."""
    aiki.app.conf.task_always_eager = True
    send_when_parked(aiki, "process-approved", {"process-waiting": {"by": "bob"}})
    assert "bob" == waiting.enqueue(None).get(timeout=20)


def test_command_sends_and_shows_what_became_of_it(aiki: Aiki) -> None:
    """`run send` and the timeline of `run show`."""
    handle = waiting.enqueue(None)
    sent = shell(aiki, "send", handle.id, "process-approved", '{"by": "cid"}', "--id", "mail-1")
    again = shell(aiki, "send", handle.id, "process-approved", '{"by": "cid"}', "--id", "mail-1")
    early = shell(aiki, "show", handle.id).output
    assert (0, f"Run {handle.id} has received process-approved.\n") == (sent.exit_code, sent.output)
    assert (0, f"Run {handle.id} had received it before, as mail-1.\n") == (again.exit_code, again.output)
    assert "received, not asked for yet" in early
    assert "event 'process-approved'  id mail-1" in early

    aiki.sender.send(handle.id, "process-waiting", wanted, 5)
    _finish(aiki, handle.id)

    shown = shell(aiki, "show", handle.id).output
    assert "event 'process-approved'  had come" in shown
    assert "event 'process-wanted'" in shown.partition("received, not asked for yet")[2]
    facts = json.loads(shell(aiki, "show", handle.id, "--json").output)
    assert ["process-approved", "process-wanted"] == [received["name"] for received in facts["inbox"]]


def test_show_says_what_is_waited_for_and_what_did_not_come(aiki: Aiki) -> None:
    """Which event, since when, until when."""
    parked, late = waiting.enqueue(3600), waiting.apply((0.05,))
    _finish(aiki, parked.id)
    shown = shell(aiki, "show", parked.id).output
    assert "(waits for event 'process-approved' until 2" in shown
    assert "event 'process-approved'  waits until 2" in shown
    parked.cancel(force=True)
    assert "event 'process-approved'  did not come\n" in shell(aiki, "show", parked.id).output
    ended = shell(aiki, "show", late.id).output
    assert "event 'process-approved'  did not come until 2" in ended
    assert "event 'process-approved'  its time was over: the wait of 2" in ended


@pytest.mark.parametrize(
    ("name", "payload", "says"),
    [
        ("process-aproved", "{}", "defines no event of that name. Did you mean 'process-approved'?"),
        ("process-approved", "{by}", "process-approved: argument 'payload': is no JSON"),
        ("process-wanted", '"many"', "process-wanted: argument 'payload': Input should be a valid integer"),
    ],
)
def test_command_refuses_what_cannot_be_sent(aiki: Aiki, name: str, payload: str, says: str) -> None:
    """Nothing is written."""
    handle = waiting.enqueue(None)
    refused = shell(aiki, "send", handle.id, name, payload)
    assert 1 == refused.exit_code
    assert says in refused.output
    assert () == aiki.journal.inbox.received(handle.id)


def test_command_refuses_a_run_that_is_over(aiki: Aiki) -> None:
    """The error is that of `handle.send`."""
    run_id = waiting.apply((0.0,)).id
    refused = shell(aiki, "send", run_id, "process-approved", '{"by": "ann"}')
    assert (1, f"RunFinished: Run {run_id} is over: it is completed.\n") == (
        refused.exit_code,
        refused.output,
    )


def _finish(aiki: Aiki, run_id: str) -> None:
    """Does a pass of the run here."""
    binding = aiki.binding
    taken = binding.executor.claim(run_id, binding.process.owner_here())
    assert taken is not None
    binding.executor.run(waiting, *taken, Forever(), told=True)
