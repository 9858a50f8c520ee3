"""L5: every end of a run wakes everybody who waits for it; waiting for a run that is over returns at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from aiki_celery import WorkflowCancelled, WorkflowFailed, WorkflowHandle
from tests.acceptance.conftest import Lab
from tests.acceptance.lessons.conftest import APP
from tests.acceptance.lessons.definitions import count, give_up, wait


class Waiters:
    """Three threads that wait for a run."""

    def __init__(self, handle: WorkflowHandle[Any]) -> None:
        self.ends: list[Any] = []
        self._handle = handle
        self._threads = [threading.Thread(target=self._wait, daemon=True) for _ in range(3)]
        for thread in self._threads:
            thread.start()

    def _wait(self) -> None:
        try:
            self.ends.append(self._handle.get(timeout=20))
        except Exception as error:
            self.ends.append(type(error))

    def woken(self) -> list[Any]:
        """What each of them got."""
        for thread in self._threads:
            thread.join(20)
        return self.ends


def test_completed_and_failed_runs_wake_every_waiter(embedded_lab: Lab) -> None:
    """Three waiters each, there before the run ends."""
    completed, failed = count.enqueue(1, 0.5), give_up.enqueue(0.5)
    waiters = Waiters(completed), Waiters(failed)
    embedded_lab.start_worker(APP, concurrency=2)
    assert [[0]] * 3 == waiters[0].woken()
    assert [WorkflowFailed] * 3 == waiters[1].woken()


def test_cancelled_run_wakes_every_waiter(embedded_lab: Lab) -> None:
    """Cancelled in the journal, while nobody runs it."""
    handle = wait.options(delay=60).enqueue(1.0)
    waiters = Waiters(handle)
    engine = create_engine(embedded_lab.journal)
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE aiki_runs SET status = 'cancelled', due_at = NULL, reason = 'by hand'")
        )
    engine.dispose()
    assert [WorkflowCancelled] * 3 == waiters.woken()


@pytest.mark.parametrize("end", [count, give_up], ids=["completed", "failed"])
def test_waiting_for_a_run_that_is_over_returns_at_once(end: Any, embedded_lab: Lab) -> None:
    """Without any worker, and however often it is asked."""
    arguments = (1, 0.0) if end is count else (0.0,)
    run_id = end.apply(arguments).id
    handle = end.handle(run_id)
    began = time.monotonic()
    for _ in range(5):
        outcome: Callable[[], Any] = lambda: handle.get(timeout=0)  # noqa: E731
        if end is count:
            assert [0] == outcome()
        else:
            with pytest.raises(WorkflowFailed, match="given up"):
                outcome()
    assert time.monotonic() - began < 5
