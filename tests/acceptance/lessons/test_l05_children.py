"""L5, of children: any end of a child wakes its parent, and who follows it by its reference id."""

from __future__ import annotations

import pytest

from aiki_celery.model.status import RunStatus
from tests.acceptance.children.definitions import coping, follower, owner
from tests.acceptance.conftest import Lab
from tests.harness.eventually import eventually

APP = "tests.acceptance.children.app"


@pytest.fixture(params=["lab", "embedded_lab"])
def any_lab(request: pytest.FixtureRequest) -> Lab:
    """PostgreSQL with Redis, and one SQLite file."""
    found: Lab = request.getfixturevalue(request.param)
    return found


def test_a_failed_child_reaches_its_parent(any_lab: Lab) -> None:
    any_lab.start_worker(APP)

    assert ["family-failing", "ValueError", "bad weather", "coped"] == coping.enqueue().get(timeout=20)


def test_a_follower_hears_that_the_run_was_cancelled(any_lab: Lab) -> None:
    any_lab.start_worker(APP, pool="threads", concurrency=4)
    owning = owner.enqueue("ref-1")
    eventually(
        lambda: any_lab.aiki.journal.views.find(reference_id="ref-1"), 10, "the shared child to be there"
    )
    following = follower.enqueue("ref-1")
    eventually(lambda: following.status is RunStatus.AWAITING_STEPS, 10, "the follower to wait")

    assert "gone" == owning.get(timeout=20)

    assert "cancelled family-sleeper" == following.get(timeout=20)
