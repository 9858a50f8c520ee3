"""`celery aiki run list` and `run show`, about runs that have started others."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from celery import Celery
from click.testing import CliRunner

from aiki_celery import Aiki, Retry, WorkflowRun, current_step, event, task, workflow
from aiki_celery.cli import aiki as command

told = event("commands-told", int)


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
        self.app = app
        self.run_id = parent.apply().id

    def __call__(self, *words: str) -> str:
        """What a command prints."""
        done = CliRunner().invoke(command, words, obj=SimpleNamespace(app=self.app))
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


def test_list_is_in_columns(shell: Shell) -> None:
    """Whatever the length of the names."""
    lines = shell("run", "list", "--all").splitlines()
    statuses = {line.index(f"  {line.split()[2]}  ") - len(line.split()[0]) for line in lines}
    assert (4, 1) == (len(lines), len(statuses))


def test_show_tells_when_it_was_made_and_with_what(shell: Shell) -> None:
    """The times of the history count from there."""
    shown = shell("run", "show", f"{shell.run_id}.4").splitlines()
    assert shown[0].endswith("Z")
    assert 'input      {"number":5}' in shown


def test_input_is_cut(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal is no place for a megabyte; `--json` is."""
    monkeypatch.setattr("aiki_celery.cli.timeline.SHOWN", 5)
    shown = shell("run", "show", f"{shell.run_id}.4")
    assert 'input      {"num... (12 characters; all of them with --json)' in shown


def test_place_that_is_no_number_is_the_name_of_a_step(shell: Shell) -> None:
    """Also one that Python has for a digit: no traceback."""
    words = ["run", "fork", shell.run_id, "--from-step", "²"]
    done = CliRunner().invoke(command, words, obj=SimpleNamespace(app=shell.app))
    assert (1, SystemExit) == (done.exit_code, type(done.exception))
    assert "no step '²'" in done.output


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("fork", "{run}", "--from-step=--5"), 1, "has no step '--5'"),
        (("fork", "{run}", f"--from-step={'9' * 5000}"), 1, "has no step '999"),
        (("list", "--limit", str(2**63 - 1)), 2, "is not in the range 1<=x<=1000000000"),
        (("cancel", "{run}", "--reason", "na\udcefve"), 1, r"'na\udcefve' is no UTF-8."),
        (("show", "\udcff"), 1, r"'\udcff' is no UTF-8."),
        (("send", "{run}", "commands-told", "[" * 60_000), 1, "argument 'payload': is nested too deeply"),
        (("send", "{run}", "commands-told", "[" * 900 + "]" * 900), 1, "argument 'payload': "),
        (("send", "{run}", "commands-told", "[5"), 1, "argument 'payload': is no JSON: "),
        (("send", "{run}", "commands-told", "9" * 5000), 1, "argument 'payload': "),
    ],
)
def test_what_cannot_be_used_is_told_without_a_traceback(
    shell: Shell, words: tuple[str, ...], code: int, told: str
) -> None:
    """Whatever was typed in."""
    given = [word.replace("{run}", shell.run_id) for word in words]
    done = CliRunner().invoke(command, ["run", *given], obj=SimpleNamespace(app=shell.app))
    assert (code, SystemExit) == (done.exit_code, type(done.exception))
    assert told in done.output


@pytest.mark.parametrize("words", [("db", "upgrade"), ("db", "current")])
def test_database_that_is_not_there_is_told_in_one_line(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by every other command."""
    monkeypatch.setattr("aiki_celery.journal.journal.PATIENCE_OF_PEOPLE", 0.1)
    app = Celery("nowhere", set_as_current=False)
    with Aiki(app, journal="postgresql+psycopg://nobody@127.0.0.1:1/none"):
        done = CliRunner().invoke(command, words, obj=SimpleNamespace(app=app))
    assert (1, 1) == (done.exit_code, len(done.output.splitlines()))
    assert "JournalUnavailable: The journal at postgresql+psycopg://nobody@127.0.0.1:1/none" in done.output


def test_setting_that_cannot_be_used_is_told_in_one_line() -> None:
    """Which, and why."""
    app = Celery("shouting", set_as_current=False)
    with Aiki(app, journal="shop.sqlite3"):
        done = CliRunner().invoke(command, ["run", "list"], obj=SimpleNamespace(app=app))
    assert (1, 1) == (done.exit_code, len(done.output.splitlines()))
    assert done.output.startswith("SettingInvalid: aiki_journal is 'shop.sqlite3'")
