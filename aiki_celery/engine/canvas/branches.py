"""The branches of a canvas that is played: what each waits for, and which steps have to be watched."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import Any

from aiki_celery.definitions.future import StepFuture

Future = StepFuture[Any]


@dataclass(slots=True)
class Until:
    """What a branch waits for: a step, or all of several branches that begin now.

    Attributes:
        what: The step, or the branches.
        is_last: Whether the branch is over with it, and has nothing to do of its own then.
    """

    what: Future | list[Branch]
    is_last: bool


Branch = Generator[Until, Any, Any]


@dataclass(slots=True)
class Running:
    """A branch under way.

    Attributes:
        branch: Its code.
        above: The branch that waits for it.
        index: Which one of those that it waits for.
        waits_for: The step it waits for, if it is one.
        is_last: Whether it is over with what it waits for, and has nothing to do of its own then.
        below: The branches it waits for.
        outcomes: What has become of those.
        left: How many of them are not over.
        is_over: Whether it is.
    """

    branch: Branch
    above: Running | None = None
    index: int = 0
    waits_for: Future | None = None
    is_last: bool = False
    below: list[Running] = field(default_factory=list)
    outcomes: list[Any] = field(default_factory=list)
    left: int = 0
    is_over: bool = False


def waiting_branches(running: Running) -> Iterator[Running]:
    """Give the branches, from this one down, that wait for a step."""
    if running.waits_for is not None:
        yield running
    for below in running.below:
        if not below.is_over:
            yield from waiting_branches(below)


def lots_of(running: Running) -> Iterator[list[Future]]:
    """Give the steps that a branch waits for, in lots: when a whole lot is over, and not before, something goes on."""
    whole = whole_lot(running)
    if whole is not None:
        yield whole
        return
    for below in running.below:
        # What ends with its steps only counts off, and the others have more to do: no need to watch it.
        if not (below.is_over or (below.is_last and whole_lot(below) is not None)):
            yield from lots_of(below)


def whole_lot(running: Running) -> list[Future] | None:
    """Give all the steps a branch waits for if nothing can be done before the last of them is over; else None."""
    if isinstance(running.waits_for, StepFuture):
        return [running.waits_for]
    futures: list[Future] = []
    for below in running.below:
        if below.is_over:
            continue
        part = whole_lot(below) if below.is_last else None
        if part is None:
            return None
        futures += part
    return futures
