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
    """The step that failed last in a pass.

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
        closes: Whether the run has started children, which may have to end with it.
    """

    def __init__(self, steps: Iterable[StepRecord]) -> None:
        self._outcomes: dict[str, list[StepRecord]] = {}
        self._facts: dict[str, deque[StepRecord]] = {}
        self._notes: dict[str, list[StepRecord]] = {}
        self._calls: dict[str, int] = {}
        self.retries: list[StepRecord] = []
        self.last_seq = 0
        self.unconsumed = 0
        self.closes = False
        self._unread = 0
        self._live = False
        for step in self._in_force(steps):
            kind, address = step.kind, step.address
            if kind is StepKind.TASK or kind is StepKind.LAUNCH or kind is StepKind.CHILD:
                queue = self._outcomes.get(address)
                if queue is None:
                    self._outcomes[address] = [step]
                else:
                    queue.append(step)
                if self._notes:
                    self._notes.pop(address, None)
                self.unconsumed += 1
                self.closes = self.closes or kind is StepKind.CHILD
            elif kind is StepKind.SLEEP or kind is StepKind.NOW or kind is StepKind.FIRST:
                self._facts.setdefault(address, deque()).append(step)
            else:
                self._notes.setdefault(address, []).append(step)
                continue
            self._unread += 1

    @property
    def is_replaying(self) -> bool:
        """Whether the code is still within what is recorded."""
        return not self._live and self._unread > 0

    def next_seq(self) -> int:
        """Give the place of the next record. From here on, the run is live."""
        self._live = True
        self.last_seq += 1
        return self.last_seq

    def take(self, address: str) -> StepRecord | None:
        """Consume the next outcome recorded at an address, or give None where there is none left."""
        asked = self._calls.get(address, 0)
        self._calls[address] = asked + 1
        queue = self._outcomes.get(address)
        if queue is None or asked >= len(queue):
            return None
        self.unconsumed -= 1
        self._unread -= 1
        return queue[asked]

    def take_fact(self, address: str) -> StepRecord | None:
        """Consume the next wait or instant recorded under a name; these never mean that code and record have parted."""
        queue = self._facts.get(address)
        if not queue:
            return None
        self._unread -= 1
        return queue.popleft()

    def calls_of(self, address: str) -> int:
        """Tell how often an address has been asked for in this pass."""
        return self._calls.get(address, 0)

    def notes(self, address: str) -> list[StepRecord]:
        """Give the attempts and starts recorded for the step in flight at an address."""
        return self._notes.get(address, [])

    def left_over(self) -> list[str]:
        """Give the addresses of unconsumed outcomes, in the order they were recorded."""
        left = [step for address, queue in self._outcomes.items() for step in queue[self.calls_of(address) :]]
        return [step.address for step in sorted(left, key=lambda step: step.seq)]

    def _in_force(self, steps: Iterable[StepRecord]) -> list[StepRecord]:
        """Leave out what a workflow-level retry has put aside: the failed step, and what came after it."""
        kept: list[StepRecord] = []
        for step in steps:
            self.last_seq = step.seq
            if step.kind is StepKind.RETRY:
                self.retries.append(step)
                kept = _without(kept, step)
            else:
                kept.append(step)
        return kept


def aside(failed: FailedStep | None, marker: int) -> str:
    """Write what a workflow-level retry puts aside: the failed step, and what came after it was seen to have failed.

    Of started steps those that failed, by their places: what else was started before that was seen keeps its outcome.
    """
    if failed is None:
        return str(marker)
    if not failed.places:
        return str(failed.first)
    return f"{','.join(map(str, failed.places))};{failed.reached}"


def _without(steps: list[StepRecord], retry: StepRecord) -> list[StepRecord]:
    """Leave out what :func:`aside` has written."""
    failed, _, reached = (retry.value or str(retry.seq)).partition(";")
    if not reached:
        return [step for step in steps if step.seq < int(failed)]
    places = {int(place) for place in failed.split(",")}
    return [step for step in steps if step.seq <= int(reached) and step.seq not in places]
