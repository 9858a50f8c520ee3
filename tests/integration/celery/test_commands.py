"""`celery aiki run list` and `run show`, about runs that have started others."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from celery import Celery
from click.testing import CliRunner

from aiki_celery import Aiki, Retry, WorkflowRun, current_step, task, workflow
from aiki_celery.cli import aiki as command


@task(name="commands-half", retry=Retry.fixed(2, 0.01))
def half(number: int) -> int:
    """Fails for odd numbers."""
    current_step().heartbeat({"tried": number})
    if number % 2:
        raise ValueError(f"{number} is odd")
    return number // 2


@workflow(name="commands-child")
def child(run: WorkflowRun, number: int) -> int:
    """Ends at once."""
    return number


@workflow(name="commands-parent")
def parent(run: WorkflowRun) -> int:
    """Starts two steps and a child."""
    slow, odd = half.options(queue="halves").start(run, 4), half.start(run, 3)
    run.gather(slow, odd, return_exceptions=True)
    run.first(slow, odd)
    return child.run(run, 5)


class Shell:
    """Gives commands about one run and what it has started.

    Args:
        app: The application.
    """

    def __init__(self, app: Celery) -> None:
        self._app = app
        self.run_id = parent.apply().id

    def __call__(self, *words: str) -> str:
        """What a command prints."""
        done = CliRunner().invoke(command, words, obj=SimpleNamespace(app=self._app))
        assert 0 == done.exit_code, done.output
        return done.output


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """An application whose journal has one such run, done in this process."""
    app = Celery("commands", set_as_current=False)
    with Aiki(app, journal=f"sqlite:///{tmp_path}/commands.sqlite3") as aiki:
        yield Shell(app)
        aiki.close()


def test_list_shows_workflows_only(shell: Shell) -> None:
    """A fan-out does not push the runs out of sight."""
    lines = shell("run", "list").splitlines()
    assert {shell.run_id: "commands-parent@1.0.0", f"{shell.run_id}.4": "commands-child@1.0.0"} == {
        line.split()[0]: line.split()[1] for line in lines
    }


def test_list_shows_steps_when_asked(shell: Shell) -> None:
    """With `--all`, and of one run with `--parent`."""
    every = [line.split()[1] for line in shell("run", "list", "--all").splitlines()]
    of_one = [line.split()[1] for line in shell("run", "list", "--parent", shell.run_id).splitlines()]
    assert (["commands-child@1.0.0", "commands-half", "commands-half"], 4) == (sorted(of_one), len(every))
    assert set(of_one) < set(every)


def test_show_tells_what_became_of_each_start(shell: Shell) -> None:
    """The run it was started as, its queue, its state, its attempts, its error."""
    steps = shell("run", "show", shell.run_id).partition("steps\n")[2].partition("\n\nhistory")[0]
    told = [line.split(" s  ", 1)[1] for line in steps.splitlines()]
    assert [
        f"start commands-half  {shell.run_id}.1  queue halves  completed",
        f"start commands-half  {shell.run_id}.2  queue celery  failed at attempt 2",
        "first to be over: 1",
        f"child commands-child@1.0.0  {shell.run_id}.4  queue celery  completed",
    ] == [line.rpartition(" ms")[0].rpartition("  ")[0] for line in told]
    assert told[1].endswith("  ValueError: 3 is odd")


def test_show_of_a_step_names_its_run_and_its_attempt(shell: Shell) -> None:
    """And what it last reported, and why it gave up."""
    shown = shell("run", "show", f"{shell.run_id}.2")
    lines = {line[:12].strip(): line[13:] for line in shown.splitlines() if line.startswith("  ")}
    assert (shell.run_id, "{'tried': 3}", "failed (gave up after attempt 2: ValueError: 3 is odd)") == (
        lines["step of"],
        lines["details"],
        lines["status"],
    )
    assert "attempt 2," in lines["epoch"]


def test_show_of_a_child_names_its_parent(shell: Shell) -> None:
    """As people and as programs read it."""
    shown = shell("run", "show", f"{shell.run_id}.4")
    facts = json.loads(shell("run", "show", f"{shell.run_id}.4", "--json"))
    assert (True, shell.run_id, "workflow") == (
        f"  parent     {shell.run_id}\n" in shown,
        facts["run"]["parent_id"],
        facts["run"]["kind"],
    )


def test_show_as_json_has_what_was_started(shell: Shell) -> None:
    """Each run beside the records, with how often it was tried."""
    facts = json.loads(shell("run", "show", shell.run_id, "--json"))
    assert {f"{shell.run_id}.1": 1, f"{shell.run_id}.2": 2, f"{shell.run_id}.4": 1} == {
        child["run"]["id"]: child["attempts"] for child in facts["started"]
    }
