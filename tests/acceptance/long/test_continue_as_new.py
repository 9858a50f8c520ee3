"""Runs that continue as new, and forks, on real workers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from aiki_celery import RunStatus, WorkflowFailed
from tests.acceptance.conftest import Lab
from tests.acceptance.long.definitions import broken, parent, poller
from tests.harness.eventually import eventually
from tests.harness.invariants import check_invariants, read_runs

APP = "tests.acceptance.long.app"


@pytest.fixture(params=["redis", "embedded"])
def any_lab(request: pytest.FixtureRequest, make_lab: Callable[..., Lab], tmp_path: Path) -> Lab:
    """PostgreSQL and Redis, which stores results too; and one SQLite file, with results in files."""
    if request.param == "redis":
        url = request.getfixturevalue("redis_url")
        return make_lab(request.getfixturevalue("postgres_url"), url, url)
    url = request.getfixturevalue("sqlite_url")
    (tmp_path / "results").mkdir()
    return make_lab(url, f"aiki+{url}", f"file://{tmp_path}/results")


def check(lab: Lab, crashes: int = 0) -> None:
    """Checks the journal once Celery has been told of every end."""
    eventually(
        lambda: all(run.row["owner"] is None for run in read_runs(lab.journal)),
        10,
        "all ends to be confirmed",
    )
    check_invariants(lab.journal, lab.effects, crashes=crashes, max_attempts={"long-poll": 1})


def test_a_poller_outlives_its_processes_under_one_id(any_lab: Lab, tmp_path: Path) -> None:
    """Killed in the middle of two generations; Celery's own result of its id is the last generation's."""
    for number in (3, 7):
        (tmp_path / f"die at {number}").touch()
    any_lab.start_worker(APP)

    result = poller.delay(0, 12, str(tmp_path))

    assert [12, 12] == result.get(timeout=40)
    handle = poller.handle(result.id)
    assert [12, 12] == handle.get(timeout=5)
    told = [effect["number"] for effect in any_lab.effects.all("poll")]
    assert sorted([*range(13), 3, 7]) == told
    progress = handle.progress
    assert progress is not None
    assert (12, 12, 1.0, "generation 12") == (
        progress.done,
        progress.total,
        progress.fraction,
        progress.message,
    )
    check(any_lab, crashes=2)


def test_a_parent_waits_across_generations(any_lab: Lab, tmp_path: Path) -> None:
    """The child is one run for it, however often that begins anew."""
    any_lab.start_worker(APP)
    assert [[6, 6], [6, 0]] == parent.enqueue(6, str(tmp_path)).get(timeout=40)
    check(any_lab)


def test_a_fork_repairs_a_failed_run(any_lab: Lab, tmp_path: Path) -> None:
    """What it had done is not done again, and the failed run is left as it is."""
    any_lab.start_worker(APP)
    failed = broken.enqueue(str(tmp_path))
    with pytest.raises(WorkflowFailed):
        failed.get(timeout=20)
    (tmp_path / "mended").touch()

    fork = failed.fork()

    assert ["1", "mended"] == fork.get(timeout=20)
    assert (RunStatus.FAILED, 1, 2) == (
        failed.status,
        any_lab.effects.count("poll"),
        any_lab.effects.count("breaking"),
    )
    check(any_lab)
