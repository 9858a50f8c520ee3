"""Control by the command line, and of runs that are done in the caller's own process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace

import pytest
from celery import Celery
from click.testing import CliRunner

from aiki_celery import (
    Aiki,
    DefinitionInvalid,
    InputInvalid,
    RunCancelled,
    RunStatus,
    WorkflowCancelled,
    WorkflowHandle,
    WorkflowRun,
    current_step,
    task,
    workflow,
)
from aiki_celery.cli import aiki as command
from aiki_celery.model.records import RunView
from tests.harness.eventually import eventually

UNDONE: list[str] = []


@task(name="controlled-undo")
def undo(what: str) -> None:
    UNDONE.append(what)


@task(name="controlled-give-up")
def give_up() -> None:
    giving_up.handle(current_step().run_id).cancel("gave up")


@workflow(name="controlled-napping")
def napping(run: WorkflowRun) -> bool:
    return run.sleep(60)


@workflow(name="controlled-leaf")
def leaf(run: WorkflowRun) -> None:
    undo.run(run, "nothing yet")
    try:
        run.sleep(3600)
    finally:
        undo.run(run, "leaf")


@workflow(name="controlled-giving-up")
def giving_up(run: WorkflowRun) -> None:
    child = leaf.start(run)
    run.sleep(0.01)
    give_up.run(run)
    try:
        child.result()
    except RunCancelled:
        run.gather(child, return_exceptions=True)
        undo.run(run, "parent")
        raise


@pytest.fixture
def aiki(tmp_path: Path) -> Iterator[Aiki]:
    """An application whose runs nobody takes, but this process if it wants to."""
    UNDONE.clear()
    app = Celery("controlled", broker="memory://", set_as_current=False)
    with Aiki(app, journal=f"sqlite:///{tmp_path}/controlled.sqlite3") as extension:
        extension.upgrade_journal()
        app.finalize()
        yield extension
        extension.close()


@pytest.fixture
def shell(aiki: Aiki) -> Callable[..., str]:
    """Gives a command, and what it prints."""

    def give(*words: str, code: int = 0) -> str:
        done = CliRunner().invoke(command, ["run", *words], obj=SimpleNamespace(app=aiki.app))
        assert code == done.exit_code, done.output
        return done.output

    return give


def begun(aiki: Aiki) -> WorkflowHandle[bool]:
    """A run that sleeps."""
    handle = napping.enqueue()
    taken = aiki.binding.executor.claim(handle.id, aiki.binding.process.owner())
    assert taken is not None
    aiki.binding.executor.run(napping, *taken, aiki.binding.process.host, told=True)
    assert RunStatus.SLEEPING is handle.status
    return handle


def test_commands_do_what_they_say(aiki: Aiki, shell: Callable[..., str]) -> None:
    """Each says what it did, and what made no difference."""
    run_id = begun(aiki).id

    assert f"Run {run_id} is paused.\n" == shell("pause", run_id)
    assert f"Run {run_id} had been paused before; it is paused.\n" == shell("pause", run_id)
    assert f"Run {run_id} goes on.\n" == shell("resume", run_id)
    assert f"Run {run_id} was not paused.\n" == shell("resume", run_id)
    assert f"Run {run_id} is being cancelled.\n" == shell("cancel", run_id, "--reason", "the weather")
    assert f"Run {run_id} had been cancelled before; it is queued.\n" == shell("cancel", run_id)
    assert "to end, " in (shown := shell("show", run_id))
    assert ": the weather" in shown
    assert f"Run {run_id} is cancelled.\n" == shell("cancel", run_id, "--force")
    sleeper = begun(aiki).id
    assert f"Run {sleeper} is woken.\n" == shell("wake", sleeper)
    assert "ended by hand: that of 1" in shell("show", sleeper)


def test_commands_name_the_state_that_is_in_the_way(aiki: Aiki, shell: Callable[..., str]) -> None:
    """In one line, with exit code 1."""
    handle = napping.enqueue()
    assert f"WrongState: Run {handle.id} is queued: only a sleeping run" in shell("wake", handle.id, code=1)
    handle.cancel()
    assert f"RunFinished: Run {handle.id} is over: it is cancelled." in shell("pause", handle.id, code=1)
    assert "RunNotFound" in shell("cancel", "nobody", code=1)


def test_run_in_this_process_is_cancelled_with_its_children(aiki: Aiki) -> None:
    """`apply` does the clean-up here too, of the child first, as the parent waits for it."""
    result = giving_up.apply()
    with pytest.raises(WorkflowCancelled, match="gave up"):
        result.get()
    assert ["nothing yet", "leaf", "parent"] == UNDONE
    steps = aiki.journal.views.steps(result.id)
    assert "cancel" in [step.kind for step in steps]


@pytest.mark.parametrize("verb", ["wake", "cancel", "pause and resume"])
def test_run_in_this_process_hears_of_other_threads(aiki: Aiki, verb: str) -> None:
    """It sleeps in this process, and somebody else controls it."""

    def sleeping() -> RunView | None:
        found = aiki.journal.views.find(statuses=[RunStatus.SLEEPING])
        return found[0] if found else None

    def control() -> None:
        run = eventually(sleeping, 10, "the run to sleep")
        handle = napping.handle(run.id)
        if verb == "pause and resume":
            handle.pause()
            handle.resume()
            eventually(sleeping, 10, "the run to sleep again")
            handle.wake()
        else:
            getattr(handle, verb)()

    thread = threading.Thread(target=control)
    thread.start()
    result = napping.apply()
    thread.join(20)
    if verb == "cancel":
        with pytest.raises(WorkflowCancelled):
            result.get()
    else:
        assert result.get() is True


def test_deadline_is_checked_where_it_is_given(aiki: Aiki) -> None:
    """Of a start, and of a definition."""
    with pytest.raises(InputInvalid, match=r"deadline.*more than zero"):
        napping.options(deadline=0)
    with pytest.raises(InputInvalid, match=r"deadline.*no time zone"):
        napping.options(deadline=datetime(2030, 1, 1))  # noqa: DTZ001
    with pytest.raises(DefinitionInvalid, match=r"controlled-bad.*deadline.*more than zero"):
        workflow(name="controlled-bad", deadline=timedelta(0))(lambda run: None)


def test_reason_of_a_cancel_is_text(aiki: Aiki) -> None:
    """Nothing is asked otherwise."""
    handle = napping.enqueue()
    with pytest.raises(InputInvalid, match=r"reason.*must be text, not None"):
        handle.cancel(None)  # type: ignore[arg-type]
    assert RunStatus.QUEUED is handle.status


@pytest.mark.parametrize(
    ("options", "after"),
    [
        ({"deadline": 60}, 60),
        ({"deadline": timedelta(minutes=1), "delay": 30}, 90),
        ({"deadline": 60, "eta": datetime(2190, 1, 1, tzinfo=timezone.utc)}, None),
        ({"deadline": datetime(2190, 1, 1, tzinfo=timezone.utc)}, None),
    ],
)
def test_deadline_is_counted_from_when_a_run_may_start(
    aiki: Aiki, options: dict[str, object], after: float | None
) -> None:
    """By the database's clock; an instant is taken as it is."""
    handle = napping.options(**options).enqueue()  # type: ignore[arg-type]
    run = handle.refresh()
    assert run.deadline_at is not None
    if after is None:
        whole = datetime(2190, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=60 * ("eta" in options))
        assert int(whole.timestamp()) * 1_000_000 == run.deadline_at
    else:
        assert 0 <= run.deadline_at - run.created_at - after * 1_000_000 < 1_000_000
