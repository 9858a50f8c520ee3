"""Runs that continue as new, progress and forks: in this process, and as the commands tell of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from celery import Celery
from click.testing import CliRunner, Result

from aiki_celery import Aiki, RunStatus, WorkflowFailed, WorkflowRun, task, workflow
from aiki_celery.cli import aiki as command

broken: set[str] = set()


@task(name="long-add")
def add(number: int) -> int:
    if "add" in broken:
        raise ValueError("no sums today")
    return number + 1


@workflow(name="long-child")
def child(run: WorkflowRun, number: int) -> int:
    if number < 2:
        run.continue_as_new(number + 1)
    return number


@workflow(name="long-climb")
def climb(run: WorkflowRun, number: int, top: int) -> list[int]:
    """Climbs step by step; on the top, a child that begins anew as well."""
    add.start(run, -number)
    number = add.run(run, number)
    run.progress(number, top, "climbing")
    if number < top:
        run.sleep(0)
        run.continue_as_new(number, top)
    return [number, run.generation, child.run(run, 0)]


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Celery]:
    """An application that does everything in this process."""
    broken.clear()
    app = Celery("long-runs", set_as_current=False)
    app.conf.task_always_eager = True
    with Aiki(app, journal=f"sqlite:///{tmp_path}/long.sqlite3") as aiki:
        yield app
        aiki.close()


def said(app: Celery, *words: str) -> Result:
    """What a command prints, and how it ends."""
    return CliRunner().invoke(command, words, obj=SimpleNamespace(app=app))


def test_run_in_this_process_continues_as_new(app: Celery) -> None:
    """And so does a child; what was started and not waited for is done as well."""
    assert [4, 3, 2] == climb.apply((0, 4)).get()
    views = app.aiki.journal.views  # type: ignore[attr-defined]
    assert {RunStatus.COMPLETED} == {run.status for run in views.find()}
    assert [4, 3, 2] == climb.enqueue(0, 4).get(timeout=5)


def test_show_tells_generation_and_progress(app: Celery) -> None:
    """For people, and for programs."""
    run_id = climb.enqueue(0, 4).id
    shown = said(app, "run", "show", run_id).output
    assert "\n  generation 3\n" in shown
    assert "\n  progress   4 of 4 (100%)  climbing\n" in shown
    assert "continued as new, generation 3" in shown
    [listed] = said(app, "run", "list", "--workflow", "long-climb", "--json").output.splitlines()
    progress = json.loads(listed)["progress"]
    assert (4, 4, 1.0, "climbing") == tuple(
        progress[name] for name in ("done", "total", "fraction", "message")
    )
    assert json.loads(said(app, "run", "show", run_id, "--json").output)["run"]["generation"] == 3


def test_run_fork_makes_another_run(app: Celery) -> None:
    """Which names the first, in `run show`; a step or version that is not there is told in one line."""
    broken.add("add")
    failed = climb.enqueue(0, 1)
    with pytest.raises(WorkflowFailed):
        failed.get(timeout=5)
    broken.clear()
    done = said(app, "run", "fork", failed.id, "--reference-id", "again")
    assert (0, RunStatus.FAILED) == (done.exit_code, failed.status)
    new_id = done.output.split()[1]
    assert f"Run {new_id} is queued.\n" == done.output
    assert f"\n  forked     from {failed.id}\n" in said(app, "run", "show", new_id).output
    assert [1, 0, 2] == climb.handle(new_id).get(timeout=5)
    for words in (
        ("--from-step", "9"),
        ("--from-step", "nope"),
        ("--version", "7"),
        ("--reference-id", "again"),
    ):
        refused = said(app, "run", "fork", failed.id, *words)
        assert (1, 1) == (refused.exit_code, len(refused.output.splitlines())), refused.output
    assert 1 == said(app, "run", "fork", "nope").exit_code


def test_async_code_forks_and_reads_progress(app: Celery) -> None:
    """By the twins of the verbs."""

    async def play() -> tuple[object, ...]:
        handle = climb.enqueue(0, 2)
        fork = await handle.afork()
        progress = await handle.aprogress()
        return await fork.aget(timeout=5), None if progress is None else progress.done

    assert ([2, 1, 2], 2) == asyncio.run(play())
