"""L21: a wait beyond the visibility timeout is delivered many times by Redis; here it lies in the journal."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from sqlalchemy import create_engine, inspect, text

from aiki_celery.engine.sweeps.redelivery import Redelivery
from aiki_celery.engine.sweeps.timers import sweep_timers
from tests.acceptance.conftest import Lab
from tests.acceptance.lessons.conftest import APP
from tests.acceptance.lessons.definitions import count, wait
from tests.contract.counting import counting
from tests.harness.eventually import eventually

SLEEPERS = 100_000


def test_delayed_run_runs_once_where_a_plain_countdown_runs_twice(
    lab: Lab, at_rest: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A countdown, a delay and a sleep of 5 s under a timeout of 1 s."""
    monkeypatch.setenv("LESSON_VISIBILITY_TIMEOUT", "1")
    lab.start_worker(APP, pool="threads")
    lab.app.send_task("plain-effect", ("plain",), countdown=5)
    delayed = count.options(delay=5).enqueue(1, 0.0)
    sleeping = wait.enqueue(5.0)
    sent = time.time()
    eventually(lambda: lab.depth() == 0 and time.time() > sent + 1.5, 10, "the timeout of the held message")
    # A worker that joins looks at once for messages whose time is over.
    lab.start_worker(APP, pool="threads")

    assert [0] == delayed.get(timeout=20)
    assert "over" == sleeping.get(timeout=20)
    eventually(lambda: lab.effects.count("plain") == 2, 10, "the plain task to run twice")
    assert 1 == lab.effects.count("work")
    assert 1 == lab.effects.count("woke")
    assert lab.effects.all("woke")[0]["at"] - sent >= 5
    at_rest(lab)


def test_sleeping_runs_cost_a_sweep_nothing(embedded_lab: Lab) -> None:
    """With a hundred thousand of them, each sweep asks one question, and the broker holds no message."""
    wait.options(delay=86_400).enqueue(1.0)
    engine = create_engine(embedded_lab.journal)
    names = [column["name"] for column in inspect(engine).get_columns("aiki_runs")]
    copied = ", ".join("id || '-' || n" if name == "id" else name for name in names)
    numbers = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < :many)"
    insert = f"INSERT INTO aiki_runs ({', '.join(names)}) {numbers} SELECT {copied} FROM aiki_runs, c"
    with engine.begin() as connection:
        connection.execute(text(insert), {"many": SLEEPERS - 1})
        assert SLEEPERS == connection.execute(text("SELECT count(*) FROM aiki_runs")).scalar()
    engine.dispose()

    context = embedded_lab.aiki.binding.sweep_context()
    with counting(embedded_lab.aiki.journal) as counted:
        due_in = sweep_timers(context)
        assert 0 == Redelivery(context).sweep()
    assert due_in is not None
    assert due_in > 86_000
    assert 2 == len(counted.statements)
    assert 0 == embedded_lab.depth()
