"""Whether a worker's own heartbeat has been steady: only then is another's silence a sign of its death."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from aiki_celery.celery_binding import heartbeat as module
from aiki_celery.celery_binding.heartbeat import LONGEST_WAIT, Heartbeat

INTERVAL = 5.0


class Clocks:
    """Clocks that tests move, in the place of the machine's."""

    def __init__(self) -> None:
        self.since_boot, self.on_the_wall = 1_000.0, 1_700_000_000.0

    def monotonic(self) -> float:
        return self.since_boot

    def time(self) -> float:
        return self.on_the_wall

    def go(self, seconds: float) -> None:
        """Time passes."""
        self.since_boot += seconds
        self.on_the_wall += seconds


class Stepped:
    """In the place of the event that a heartbeat waits for: it beats when a test says so."""

    def __init__(self) -> None:
        self.left = 0

    def wait(self, _: float) -> bool:
        self.left -= 1
        return self.left < 0


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    """The clocks of the heartbeat."""
    clocks = Clocks()
    monkeypatch.setattr(module, "time", clocks)
    return clocks


def started(clocks: Clocks, waited: float = 0.0) -> Heartbeat:
    """A heartbeat that has had to wait for the database so long; its thread does nothing."""

    def ensure_ready() -> None:
        clocks.go(waited)

    journal: Any = SimpleNamespace(
        ensure_ready=ensure_ready, workers=SimpleNamespace(beat=lambda *_: None, remove=lambda _: None)
    )
    heartbeat = Heartbeat(journal, "worker", "host", INTERVAL)
    heartbeat._thread = SimpleNamespace(start=lambda: None)  # type: ignore[assignment]
    heartbeat.start()
    return heartbeat


def beat(heartbeat: Heartbeat) -> None:
    """Beats once."""
    stepped = Stepped()
    stepped.left = 1
    heartbeat._stop = stepped  # type: ignore[assignment]
    heartbeat._run()


def test_it_is_steady_from_the_start_and_as_long_as_it_beats(clocks: Clocks) -> None:
    """A late beat that is not missed does not matter."""
    heartbeat = started(clocks)
    for _ in range(5):
        assert heartbeat.is_steady
        clocks.go(1.5 * INTERVAL)
        assert heartbeat.is_steady
        beat(heartbeat)


def test_gap_makes_it_unsteady_until_the_others_have_had_time_to_beat(clocks: Clocks) -> None:
    """Before the next beat, and for a while after it."""
    heartbeat = started(clocks)
    clocks.go(3 * INTERVAL)
    assert not heartbeat.is_steady
    beat(heartbeat)
    assert not heartbeat.is_steady
    clocks.go(INTERVAL)
    beat(heartbeat)
    assert not heartbeat.is_steady
    clocks.go(LONGEST_WAIT + 0.1)
    assert heartbeat.is_steady


def test_sleep_of_the_machine_is_a_gap(clocks: Clocks) -> None:
    """The monotonic clock of most systems stands still meanwhile."""
    heartbeat = started(clocks)
    clocks.on_the_wall += 3600
    assert not heartbeat.is_steady
    beat(heartbeat)
    assert not heartbeat.is_steady


def test_clock_that_is_set_back_is_none(clocks: Clocks) -> None:
    """Nor does it hide one."""
    heartbeat = started(clocks)
    clocks.on_the_wall -= 3600
    assert heartbeat.is_steady
    clocks.go(3 * INTERVAL)
    assert not heartbeat.is_steady


def test_worker_that_had_to_wait_for_the_database_is_not_steady_at_once(clocks: Clocks) -> None:
    """The rows of those that are alive are as old as the database was away."""
    heartbeat = started(clocks, waited=20.0)
    assert not heartbeat.is_steady
    clocks.go(INTERVAL)
    beat(heartbeat)
    clocks.go(LONGEST_WAIT + 0.1)
    assert heartbeat.is_steady
