"""A measured figure, and how it is taken: the median of several rounds."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table.

    Attributes:
        name: what the ratios refer to, such as ``raw.driver``.
        place: ``postgres`` or ``sqlite``.
        unit: ``steps/s``, ``workflows/s``, ``ms`` or ``MB``.
        rounds: the value of each round, in that unit.
        note: what the reader must know to judge it.
    """

    name: str
    place: str
    unit: str
    rounds: tuple[float, ...]
    note: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.rounds)


@dataclass(slots=True)
class Results:
    """All figures of a run, and the sections that could not be measured."""

    figures: list[Figure] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)

    def add(self, figure: Figure) -> None:
        self.figures.append(figure)

    def median(self, name: str, place: str) -> float | None:
        return next((f.median for f in self.figures if (f.name, f.place) == (name, place)), None)


def seconds(work: Callable[[], object]) -> float:
    """Run ``work`` once and return how long it took."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def rates(work: Callable[[], object], count: int, rounds: int) -> tuple[float, ...]:
    """Run ``work``, which does ``count`` things, ``rounds`` times; things per second of each round."""
    return tuple(count / seconds(work) for _ in range(rounds))
