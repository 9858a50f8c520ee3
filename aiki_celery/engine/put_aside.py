"""What retries of the whole workflow have put aside: read from their markers, which are records as well.

A marker's value is the place from which on records do not count any more; or the places of started steps, and the place
after which nothing counts. Of a saga, ``@`` and the place of the code at its beginning may follow: where something had
been done again before it, that is another one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from aiki_celery.model.records import StepRecord
from aiki_celery.model.status import StepKind, StepStatus

#: Name of a marker that puts aside what a saga has undone; those of others are called ``retry``.
COMPENSATED = "compensated"

#: Name of a marker of a fork, which puts aside what had ended with the run it was made from; it is no failed attempt.
FORKED = "forked"

OUTCOMES = frozenset({StepKind.TASK, StepKind.LAUNCH, StepKind.CHILD})


@dataclass(frozen=True, slots=True)
class FailedStep:
    """A step that failed, in a pass.

    Attributes:
        error: What it raised in the workflow.
        first: Place of its first record.
        places: Of started steps: the places of those that failed together.
        reached: Of started steps: the place that the record had reached when that was seen.
    """

    error: BaseException
    first: int
    places: tuple[int, ...] = ()
    reached: int = 0


@dataclass(frozen=True, slots=True)
class Undone:
    """A saga that was compensated, in a pass.

    Attributes:
        error: What the compensations followed; None if the code asked for them by itself.
        reached: The place that the record had reached when the saga began.
        place: Where in the code that was; see :class:`aiki_celery.engine.recorded.Recorded`.
        earlier: Places of its steps that had been recorded before that one: the code has changed their order.
        first: Place of the first compensation.
        raised: What said that compensations had failed, if any did.
        failed: Places of the outcomes of those.
    """

    error: BaseException | None
    reached: int
    place: int
    earlier: tuple[int, ...]
    first: int
    raised: BaseException | None = None
    failed: tuple[int, ...] = ()


class PutAside:
    """Leaves out what retries have put aside.

    Attributes:
        retries: The markers.
        places: Started steps that were put aside one by one, and the places of the markers that did.
        redone: Ids of children that were put aside: another one may take their reference ids.
    """

    def __init__(self) -> None:
        self.retries: list[StepRecord] = []
        self.places: dict[int, int] = {}
        self.redone: set[str | None] = set()
        self._again: dict[str, list[tuple[int, int]]] = {}
        self._ends: list[tuple[int, int]] = []

    def in_force(self, steps: Iterable[StepRecord]) -> list[StepRecord]:
        """Give the records without what was put aside and without the markers."""
        kept: list[StepRecord] = []
        for step in steps:
            if step.kind is StepKind.RETRY:
                if step.name != FORKED:
                    self.retries.append(step)
                kept = self._without(kept, step)
            else:
                kept.append(step)
        return kept

    def ordinal(self, address: str, index: int) -> int:
        """Tell which call of an address one is, by its place among those that count, from 0.

        What a saga has undone was done all the same. Whoever does it again does something new, which must not be taken
        for what was undone; so those calls are counted too.
        """
        if not self._again:
            return index
        return index + sum(count for first, count in self._again.get(address, ()) if index >= first)

    def rounds(self, place: int) -> list[int]:
        """Give the places of the markers by which what follows a place of the code was undone and begun anew."""
        return [seq for began, seq in self._ends if began <= place]

    def _without(self, steps: list[StepRecord], retry: StepRecord) -> list[StepRecord]:
        """Leave out what a marker says."""
        value, _, began = (retry.value or str(retry.seq)).partition("@")
        failed, _, reached = value.partition(";")
        places = {int(place) for place in failed.split(",")} if reached else set()
        # Where one that failed had been the first, that is decided anew, and what came after it is done again.
        won = (step.seq for step in steps if step.kind is StepKind.FIRST and int(step.value or 0) in places)
        end = min(won, default=int(reached) + 1) if reached else int(failed)
        if retry.name == COMPENSATED:
            self._ends.append((int(began) if began else end - 1, retry.seq))
            self._count(steps, places, end)
        self.places.update((place, retry.seq) for place in places)
        self.redone.update(
            step.child_id
            for step in steps
            if step.kind is StepKind.CHILD and (step.seq in places or step.seq >= end)
        )
        return [step for step in steps if step.seq < end]

    def _count(self, steps: list[StepRecord], places: set[int], end: int) -> None:
        """Note how many calls of each address are put aside, where one of them had been completed."""
        gone: dict[str, list[StepRecord]] = {}
        before: Counter[str] = Counter()
        for step in steps:
            if step.kind not in OUTCOMES or step.seq in self.places:
                continue
            if step.seq in places or step.seq >= end:
                gone.setdefault(step.address, []).append(step)
            elif step.address not in gone:
                before[step.address] += 1
        for address, calls in gone.items():
            if any(call.status is StepStatus.COMPLETED for call in calls):
                self._again.setdefault(address, []).append((before[address], len(calls)))
