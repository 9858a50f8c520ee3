"""Children, on real workers: three levels, ending with their parent, or left behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiki_celery import WorkflowCancelled, WorkflowFailed
from tests.acceptance.children.definitions import leaving, parent, sleeper
from tests.acceptance.conftest import Lab

APP = "tests.acceptance.children.app"


@pytest.fixture(params=["lab", "embedded_lab", "other_lab"])
def any_lab(request: pytest.FixtureRequest) -> Lab:
    """PostgreSQL with Redis, one SQLite file, and MariaDB with RabbitMQ."""
    found: Lab = request.getfixturevalue(request.param)
    return found


def worked(lab: Lab) -> list[str]:
    return sorted(effect["of"] for effect in lab.effects.all("work"))


def test_three_levels_survive_a_killed_process(any_lab: Lab, tmp_path: Path) -> None:
    any_lab.start_worker(APP)

    answer = parent.enqueue(str(tmp_path / "flag")).get(timeout=30)

    assert ["parent", "one's child after!", "two's child after!"] == answer
    expected = [f"{name}'s child {when}" for name in ("one", "two") for when in ("after", "before")]
    assert sorted([*expected, "parent"]) == worked(any_lab)
    assert 2 == any_lab.effects.count("die once")


@pytest.mark.parametrize("fails", [False, True])
def test_a_child_ends_with_its_parent(any_lab: Lab, fails: bool) -> None:
    any_lab.start_worker(APP)
    handle = leaving.enqueue(60.0, "cancel", fails)

    if fails:
        with pytest.raises(WorkflowFailed):
            handle.get(timeout=20)
    else:
        assert "left" == handle.get(timeout=20)

    [left] = any_lab.aiki.journal.views.find(workflow="family-sleeper")
    # One whose code is at work is asked to end, and ends itself.
    with pytest.raises(WorkflowCancelled, match="its parent is over"):
        sleeper.handle(left.id).get(timeout=20)


def test_an_abandoned_child_goes_on(any_lab: Lab) -> None:
    any_lab.start_worker(APP)

    assert "left" == leaving.enqueue(1.0, "abandon").get(timeout=20)

    [left] = any_lab.aiki.journal.views.find(workflow="family-sleeper")
    assert "left woke" == sleeper.handle(left.id).get(timeout=20)
