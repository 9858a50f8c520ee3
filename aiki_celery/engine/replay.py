"""A cursor over what a run has recorded.

A step's address is its name and the hash of its input. An address holds a queue of recorded outcomes, first in, first
out, so steps may change places, go away or be added at the end without disturbing a run in flight. What is recorded and
was not asked for when a new step comes up means that code and record have parted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from aiki_celery.model.records import StepRecord
from aiki_celery.model.status import StepKind


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


class Record:
    """What a run has recorded, consumed step by step.

    Args:
        steps: The records in order.

    Attributes:
        retries: Failed attempts of the whole workflow.
        last_seq: Place of the last record.
        unconsumed: How many outcomes have not been asked for yet.
        has_order: Whether the code asks for its steps in the same order each time. Code that gives every step an
            address of its own need not.
        closes: Whether the run has started children, which may have to end with it.
        reached: The last place that the code has come to in this pass.
        redone: Ids of children that were put aside: another one may take their reference ids.
    """

    def __init__(self, steps: Iterable[StepRecord]) -> None:
        #: None in place of a start that was put aside: whoever asks for it starts it again.
        self._outcomes: dict[str, list[StepRecord | None]] = {}
        self._aside: dict[int, int] = {}
        self._gaps: dict[str, deque[tuple[int, int]]] = {}
        self._facts: dict[str, deque[StepRecord]] = {}
        self._notes: dict[str, list[StepRecord]] = {}
        self._calls: dict[str, int] = {}
        self.retries: list[StepRecord] = []
        self.last_seq = 0
        self.unconsumed = 0
        self.has_order = True
        self.closes = False
        self.reached = 0
        self.redone: set[str | None] = set()
        self._first_notes: dict[int, int] = {}
        self._unread = 0
        self._live = False
        for step in self._in_force(steps):
            kind, address = step.kind, step.address
            if kind is StepKind.TASK or kind is StepKind.LAUNCH or kind is StepKind.CHILD:
                if self._aside:
                    if not self._placed(step):
                        continue
                else:
                    queue = self._outcomes.get(address)
                    if queue is None:
                        self._outcomes[address] = [step]
                    else:
                        queue.append(step)
                if self._notes and (notes := self._notes.pop(address, None)):
                    self._first_notes[step.seq] = notes[0].seq
                self.unconsumed += 1
                self.closes = self.closes or kind is StepKind.CHILD
            elif kind is StepKind.SLEEP or kind is StepKind.NOW or kind is StepKind.FIRST:
                self._facts.setdefault(address, deque()).append(step)
            else:
                self._notes.setdefault(address, []).append(step)
                continue
            self._unread += 1
        self.closes = self.closes or bool(self.redone)

    @property
    def is_replaying(self) -> bool:
        """Whether the code is still within what is recorded."""
        return not self._live and self._unread > 0

    def next_seq(self) -> int:
        """Give the place of the next record. From here on, the run is live."""
        self._live = True
        self.last_seq += 1
        self.reached = self.last_seq
        return self.last_seq

    def take(self, address: str) -> StepRecord | None:
        """Consume the next outcome recorded at an address, or give None where there is none left."""
        asked = self._calls.get(address, 0)
        self._calls[address] = asked + 1
        queue = self._outcomes.get(address)
        if queue is None or asked >= len(queue):
            return None
        found = queue[asked]
        if found is not None:
            self.unconsumed -= 1
            self._unread -= 1
            if found.seq > self.reached:
                self.reached = found.seq
        return found

    def may_start(self, address: str) -> bool:
        """Tell whether what was asked for last at an address may be started, as :meth:`take` gave nothing.

        It may if nothing is recorded that was not asked for, or if it is one that was put aside: code and record have
        not parted then, it is the very place that is to be done again.
        """
        if not self.unconsumed or not self.has_order:
            return True
        queue, asked = self._outcomes.get(address), self.calls_of(address)
        return queue is not None and asked <= len(queue) and queue[asked - 1] is None

    def take_fact(self, address: str) -> StepRecord | None:
        """Consume the next wait or instant recorded under a name; these never mean that code and record have parted."""
        queue = self._facts.get(address)
        if not queue:
            return None
        self._unread -= 1
        fact = queue.popleft()
        self.reached = max(self.reached, fact.seq)
        return fact

    def calls_of(self, address: str) -> int:
        """Tell how often an address has been asked for in this pass."""
        return self._calls.get(address, 0)

    def notes(self, address: str) -> list[StepRecord]:
        """Give the attempts and starts recorded for the step in flight at an address."""
        return self._notes.get(address, [])

    def first_seq(self, step: StepRecord) -> int:
        """Give the place of the first record of a step: of its first failed attempt, if there was one."""
        return self._first_notes.get(step.seq, step.seq)

    def left_over(self) -> list[str]:
        """Give the addresses of unconsumed outcomes, in the order they were recorded."""
        queues = self._outcomes.items()
        left = [
            step for address, queue in queues for step in queue[self.calls_of(address) :] if step is not None
        ]
        return [step.address for step in sorted(left, key=lambda step: step.seq)]

    def _placed(self, step: StepRecord) -> bool:
        """Put a record into its address' queue; tell whether it counts, and was not put aside.

        One that was started after another of that address had been put aside takes that one's place.
        """
        queue = self._outcomes.setdefault(step.address, [])
        gaps = self._gaps.setdefault(step.address, deque())
        if gaps and step.seq > gaps[0][1]:
            index, _ = gaps.popleft()
        else:
            index = len(queue)
            queue.append(None)
        marker = self._aside.get(step.seq)
        if marker is not None:
            gaps.append((index, marker))
            return False
        queue[index] = step
        return True

    def _in_force(self, steps: Iterable[StepRecord]) -> list[StepRecord]:
        """Leave out what a workflow-level retry has put aside: the failed step, and what came after it."""
        kept: list[StepRecord] = []
        for step in steps:
            self.last_seq = step.seq
            if step.kind is StepKind.RETRY:
                self.retries.append(step)
                kept = self._without(kept, step)
            else:
                kept.append(step)
        return kept

    def _without(self, steps: list[StepRecord], retry: StepRecord) -> list[StepRecord]:
        """Leave out what :func:`aside` has written."""
        failed, _, reached = (retry.value or str(retry.seq)).partition(";")
        if not reached:
            return self._until(steps, int(failed))
        places = {int(place) for place in failed.split(",")}
        self._aside.update((place, retry.seq) for place in places)
        # Where one that failed had been the first, that is decided anew, and what came after it is done again.
        won = (step.seq for step in steps if step.kind is StepKind.FIRST and int(step.value or 0) in places)
        end = min(won, default=int(reached) + 1)
        self.redone.update(
            step.child_id for step in steps if step.kind is StepKind.CHILD and step.seq in places
        )
        return self._until(steps, end)

    def _until(self, steps: list[StepRecord], end: int) -> list[StepRecord]:
        """Leave out what is recorded from a place on."""
        self.redone.update(step.child_id for step in steps if step.kind is StepKind.CHILD and step.seq >= end)
        return [step for step in steps if step.seq < end]


def aside(failed: FailedStep | None, marker: int | None) -> str | None:
    """Write what a workflow-level retry puts aside: the failed step, and what came after it was seen to have failed.

    Of started steps those that failed, by their places: what else was started before that was seen keeps its outcome.
    Where no step failed, nothing is: what comes before the marker's own place is kept.
    """
    if failed is None:
        return None if marker is None else str(marker)
    if not failed.places:
        return str(failed.first)
    return f"{','.join(map(str, failed.places))};{failed.reached}"
