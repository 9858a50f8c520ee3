"""Transactional steps on workers that are killed: every line of the books is there once."""

from __future__ import annotations

import pytest

from tests.acceptance.conftest import Lab
from tests.acceptance.transactions.definitions import transfer_all
from tests.acceptance.transactions.tables import entries, make_tables
from tests.harness.eventually import eventually

APP = "tests.acceptance.transactions.app"

#: Steps of each run.
STEPS = 8


@pytest.fixture(params=["lab", "embedded_lab", "other_lab"])
def any_lab(request: pytest.FixtureRequest) -> Lab:
    """PostgreSQL with Redis, one SQLite file, and MariaDB with RabbitMQ."""
    found: Lab = request.getfixturevalue(request.param)
    return found


def test_lines_are_entered_once_though_workers_are_killed_in_the_middle(any_lab: Lab) -> None:
    """SIGKILL of a pool process, and of a whole worker, each while a body has written and not committed."""
    engine = make_tables(any_lab.journal)
    worker = any_lab.start_worker(APP)
    handle = transfer_all.enqueue("t", STEPS, 0.3)
    expected = {f"t-{number}": 1 for number in range(STEPS)}

    entered = _entered_by(any_lab, 2)
    worker.kill_child(entered)
    _entered_by(any_lab, 5)
    worker.kill_group()
    any_lab.start_worker(APP)

    assert STEPS == handle.get(timeout=30)
    assert expected == entries(engine)
    # Bodies were cut off: they ran more often than they were committed.
    eventually(lambda: any_lab.effects.count("entered") > STEPS, 1, "bodies that ran again")
    engine.dispose()


def _entered_by(lab: Lab, count: int) -> int:
    """Waits until so many bodies have begun; gives the process of the last one."""
    found = eventually(lambda: lab.effects.all("entered")[count - 1 :], 20, f"{count} bodies", interval=0.01)
    return int(found[-1]["pid"])
