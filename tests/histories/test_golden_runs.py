"""V4: runs that an earlier state of this package has written are replayed, and gone on with, by the one of today."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from aiki_celery.journal.journal import Journal
from aiki_celery.settings import AikiSettings
from tests.contract.house import House
from tests.contract.rows import run_row
from tests.harness.replays import check_replays
from tests.histories import flows
from tests.histories.recording import GOLDEN, load

FINISHED = sorted(GOLDEN.glob("*-finished.json"))
IN_FLIGHT = sorted(GOLDEN.glob("*-in-flight.json"))


@pytest.fixture
def journal(sqlite_url: str) -> Iterator[Journal]:
    """An empty journal; nothing was done yet."""
    flows.done.clear()
    journal = Journal(AikiSettings(journal=sqlite_url))
    journal.upgrade()
    yield journal
    journal.close()


def stem(path: Path) -> str:
    """A golden run as a test calls it."""
    return path.stem


def test_every_case_has_its_golden_runs() -> None:
    """A workflow that nobody has recorded guards nothing."""
    names = sorted(workflow.name.removeprefix("golden-") for workflow, _ in flows.CASES)
    assert [[f"{name}-{when}" for name in names] for when in ("finished", "in-flight")] == [
        [path.stem for path in paths] for paths in (FINISHED, IN_FLIGHT)
    ]


@pytest.mark.parametrize("golden", FINISHED, ids=stem)
def test_finished_run_replays_as_it_was(
    golden: Path, journal: Journal, sqlite_url: str, tmp_path: Path
) -> None:
    """No step is run, nothing is recorded, and the outcome is the same."""
    load(sqlite_url, golden)
    workflows = [workflow for workflow, _ in flows.CASES]
    assert 1 == check_replays(sqlite_url, workflows, tmp_path)
    assert [] == flows.done


@pytest.mark.parametrize("golden", IN_FLIGHT, ids=stem)
def test_run_in_flight_goes_on_where_it_was(golden: Path, journal: Journal, sqlite_url: str) -> None:
    """To the outcome of the finished one, but for what is drawn; what it had done is not done again."""
    row = load(sqlite_url, golden)[0]
    before = {step["input"] for step in json.loads(golden.read_text())[0]["steps"] if step["kind"] == "task"}
    house = House(journal, inline_wait=0.0)
    house.drain()
    now = run_row(journal, row["id"])
    twin = json.loads(golden.with_name(golden.name.replace("in-flight", "finished")).read_text())[0]
    assert (twin["row"]["status"], len(twin["steps"])) == (now.status, len(journal.views.steps(row["id"])))
    again = [what for what in flows.done if f'"{what.partition(" ")[2]}"' in " ".join(filter(None, before))]
    assert [] == again
