"""Durations and instants that are as good as never: refused, or waited for without breaking what shows them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from click.testing import CliRunner

from aiki_celery import (
    Aiki,
    DefinitionInvalid,
    InputInvalid,
    RunStatus,
    WorkflowRun,
    event,
    task,
    workflow,
)
from aiki_celery.cli import aiki as command
from aiki_celery.engine.ports import Forever
from aiki_celery.model.clock import from_datetime, to_datetime

LAST = datetime.max.replace(tzinfo=timezone.utc)
LATER = LAST.replace(tzinfo=timezone(timedelta(hours=-12)))
REFUSED = "must be 1,000 years at most"

answer = event("far-answer", int)


@task(name="far-noted")
def noted(value: int) -> int:
    return value


@workflow(name="far-waiting")
def waiting(run: WorkflowRun, how: str, seconds: float = 1e12) -> None:
    if how == "sleep":
        run.sleep(seconds)
    elif how == "sleep until":
        run.sleep_until(LATER)
    elif how == "event":
        run.wait_for(answer, timeout=seconds)
    else:
        run.callback(answer, expires_in=seconds)


@pytest.fixture
def aiki(tmp_path: Path) -> Iterator[Aiki]:
    """An application without a worker."""
    app = Celery("far", broker="memory://", set_as_current=False)
    settings: dict[str, Any] = {"secret_key": "a secret of many letters"}
    with Aiki(app, journal=f"sqlite:///{tmp_path}/far.sqlite3", **settings) as aiki:
        yield aiki
        aiki.close()


def shown(aiki: Aiki, run_id: str) -> str:
    """What the command line shows of a run, as text and as JSON."""
    told = ""
    for words in (("show", run_id), ("show", run_id, "--json"), ("list",)):
        done = CliRunner().invoke(command, ["run", *words], obj=SimpleNamespace(app=aiki.app))
        assert 0 == done.exit_code, done.output
        told += done.output
    return told


@pytest.mark.parametrize("option", ["delay", "deadline"])
@pytest.mark.parametrize("value", [timedelta.max, 1e12, 10**400, float("inf")])
def test_endless_option_of_a_start_is_refused(aiki: Aiki, option: str, value: Any) -> None:
    """By its name."""
    with pytest.raises(InputInvalid, match=rf"far-waiting: argument '{option}': .*{REFUSED}"):
        waiting.options(**{option: value})


@pytest.mark.parametrize(
    "define",
    [
        lambda: workflow(name="far-bad", deadline=timedelta.max)(lambda run: None),
        lambda: task(name="far-bad-task", timeout=timedelta.max)(lambda: None),
    ],
    ids=["deadline", "timeout"],
)
def test_endless_duration_of_a_definition_is_refused(define: Callable[[], Any]) -> None:
    """When the module is imported."""
    with pytest.raises(DefinitionInvalid, match=rf"far-bad.*(deadline|timeout).*{REFUSED}"):
        define()


def test_endless_timeout_of_a_step_is_refused() -> None:
    """By its name."""
    with pytest.raises(InputInvalid, match=rf"far-noted: argument 'timeout': .*{REFUSED}"):
        noted.options(timeout=timedelta.max)


@pytest.mark.parametrize(
    ("how", "argument"), [("sleep", "duration"), ("event", "timeout"), ("callback", "expires_in")]
)
def test_endless_wait_fails_the_run_at_once(aiki: Aiki, how: str, argument: str) -> None:
    """With an error that names the argument, instead of being tried again and again."""
    result = waiting.apply((how,))
    with pytest.raises(InputInvalid, match=rf"far-waiting: argument '{argument}': .*{REFUSED}"):
        result.get()
    assert RunStatus.FAILED is aiki.view(result.id).status


@pytest.mark.parametrize(
    "options",
    [
        {"eta": LAST},
        {"eta": LATER, "deadline": timedelta(days=365_000)},
        {"delay": timedelta(days=365_000), "deadline": timedelta(days=365_000)},
        {"deadline": LATER},
    ],
)
def test_run_that_starts_or_ends_with_the_calendar_is_shown(aiki: Aiki, options: dict[str, Any]) -> None:
    """What lies beyond its end is shown as its end."""
    handle = waiting.options(**options).enqueue("sleep")
    assert "far-waiting" in shown(aiki, handle.id)
    assert [handle.status] == [run.status for run in aiki.journal.views.find(limit=5)]


def test_run_that_sleeps_until_the_end_of_the_calendar_is_shown(aiki: Aiki) -> None:
    """It sleeps."""
    handle = waiting.enqueue("sleep until")
    taken = aiki.binding.executor.claim(handle.id, aiki.binding.process.owner_here())
    assert taken is not None
    aiki.binding.executor.run(waiting, *taken, Forever(), told=True)
    assert RunStatus.SLEEPING is handle.status
    assert "until 9999-12-31 23:59:59Z" in shown(aiki, handle.id)


def test_instants_beyond_the_calendar_are_its_ends() -> None:
    """The others are given exactly."""
    first = datetime.min.replace(tzinfo=timezone.utc)
    early = first.replace(tzinfo=timezone(timedelta(hours=12)))
    assert [first, first, LAST, LAST] == [
        to_datetime(from_datetime(moment)) for moment in (early, first, LAST, LATER)
    ]
