"""L7: a child found by a reference id stays linked on every replay; two who start it at once get one run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.children.definitions import grandchild, sharing
from tests.acceptance.conftest import Lab

APP = "tests.acceptance.children.app"


@pytest.fixture(params=["lab", "embedded_lab"])
def any_lab(request: pytest.FixtureRequest) -> Lab:
    """PostgreSQL with Redis, and one SQLite file."""
    found: Lab = request.getfixturevalue(request.param)
    return found


def test_many_parents_share_one_run(any_lab: Lab, tmp_path: Path) -> None:
    """Each parent is killed once after it has found the run, and finds the same one again."""
    any_lab.start_worker(APP, pool="prefork", concurrency=3)

    handles = [sharing.enqueue("ref-2", "shared", str(tmp_path / f"flag {n}")) for n in range(5)]

    assert [["shared after", "conflict"]] * 5 == [handle.get(timeout=40) for handle in handles]
    assert ["shared after", "shared before"] == sorted(effect["of"] for effect in any_lab.effects.all("work"))
    assert 1 == len(any_lab.aiki.journal.views.find(workflow="family-grandchild"))


def test_a_child_finds_a_run_that_is_over(any_lab: Lab) -> None:
    any_lab.start_worker(APP)
    done = grandchild.options(reference_id="ref-3").enqueue("shared")
    done.get(timeout=20)

    assert ["shared after", "conflict"] == sharing.enqueue("ref-3", "shared").get(timeout=20)

    assert 2 == any_lab.effects.count("work")
