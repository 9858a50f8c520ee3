"""Two writers stepped through one another: one stops before each of its statements in turn, and lets the other by.

What goes wrong between two transactions goes wrong at some pair of places. Here no place is left to luck: for every
statement of the first, its commit included, the second runs while the first stands still there, until it is over or
waits for a lock that the first holds.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import event, text

from aiki_celery.journal.journal import Journal

S = TypeVar("S")

#: Seconds after which a writer that does not come to its end counts as lost.
DEADLINE = 30.0

#: How many connections wait for a lock.
WAITING = {
    "postgresql": "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'",
    "mysql": "SELECT count(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'",
}

#: MariaDB refreshes its list only when nobody has read it for a tenth of a second.
LOOK_AGAIN = {"postgresql": 0.003, "mysql": 0.11}

#: SQLite cannot tell who waits: a statement that takes so many seconds does.
STUCK = 0.03


@dataclass(frozen=True)
class Outcome:
    """How the two ended: what each gave, or the exception it raised."""

    first: Any
    second: Any


class Stop:
    """Where a thread stops: before its so-manieth statement."""

    def __init__(self, number: int) -> None:
        self.reached = threading.Event()
        self.go_on = threading.Event()
        self._left = number
        self._thread: int | None = None

    @contextmanager
    def here(self) -> Iterator[None]:
        """Makes the calling thread the one that stops, inside."""
        self._thread = threading.get_ident()
        try:
            yield
        finally:
            self._thread = None

    def pass_by(self, *_: Any) -> None:
        """What SQLAlchemy calls before each statement and each commit, of every thread."""
        if threading.get_ident() != self._thread:
            return
        self._left -= 1
        if self._left == 0:
            self.reached.set()
            assert self.go_on.wait(DEADLINE), "nobody let the stopped writer go on"


@contextmanager
def listening(journal: Journal, stop: Stop) -> Iterator[None]:
    """Stops where it is told to, inside."""
    names = ("before_cursor_execute", "commit")
    for engine in journal.connections.engines:
        for name in names:
            event.listen(engine, name, stop.pass_by)
    try:
        yield
    finally:
        for engine in journal.connections.engines:
            for name in names:
                event.remove(engine, name, stop.pass_by)


@dataclass
class Interleaving(Generic[S]):
    """Two writers, and what must hold whatever their order.

    Attributes:
        journal: The journal.
        prepare: Makes the scene, anew for each place.
        first: Who stops.
        second: Who comes by.
        check: Is given the scene and how the two ended.
    """

    journal: Journal
    prepare: Callable[[], S]
    first: Callable[[S], Any]
    second: Callable[[S], Any]
    check: Callable[[S, Outcome], None]

    def explore(self) -> int:
        """Tries every place; gives how many there are."""
        for place in itertools.count(1):
            scene = self.prepare()
            stopped, outcome = self._play(scene, place)
            self.check(scene, outcome)
            if not stopped:
                assert place > 2, "the first writer has no statement to stop at"
                return place - 1
        raise AssertionError

    def _play(self, scene: S, place: int) -> tuple[bool, Outcome]:
        stop = Stop(place)

        def stopping() -> Any:
            with stop.here():
                return _ended(self.first, scene)

        with listening(self.journal, stop), ThreadPoolExecutor(2) as pool:
            first = pool.submit(stopping)
            try:
                while not (stop.reached.wait(0.001) or first.done()):
                    pass
                second = pool.submit(_ended, self.second, scene)
                self._until_it_waits(second)
            finally:
                stop.go_on.set()
            return stop.reached.is_set(), Outcome(first.result(DEADLINE), second.result(DEADLINE))

    def _until_it_waits(self, second: Future[Any]) -> None:
        """Returns when the second writer is over, or waits for the first."""
        dialect = self.journal.connections.dialect
        deadline = time.monotonic() + DEADLINE
        if dialect not in WAITING:
            _is_over(second, STUCK)
            return
        while not _is_over(second, LOOK_AGAIN[dialect]):
            assert time.monotonic() < deadline, "the second writer neither ends nor waits"
            with self.journal.connections.autocommit() as connection:
                if connection.execute(text(WAITING[dialect])).scalar():
                    return


def _is_over(future: Future[Any], seconds: float) -> bool:
    try:
        future.exception(seconds)
    except NotYet:
        return False
    return True


def _ended(writer: Callable[[S], Any], scene: S) -> Any:
    try:
        return writer(scene)
    except BaseException as error:
        return error
