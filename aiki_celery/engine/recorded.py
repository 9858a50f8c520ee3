"""What a run has recorded, put where the code asks for it: each outcome into the queue of its address."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, MutableSequence

from aiki_celery.engine.put_aside import PutAside
from aiki_celery.model.records import StepRecord
from aiki_celery.model.status import StepKind

#: What is recorded of waits and instants, each consumed by its name.
_FACTS = frozenset(
    {StepKind.SLEEP, StepKind.NOW, StepKind.FIRST, StepKind.PATCH, StepKind.EVENT, StepKind.CALLBACK}
)


class Recorded:
    """What a run has recorded, by its addresses.

    Args:
        steps: The records in order.
        base_seq: The place after which they begin.

    Attributes:
        last_seq: Place of the last record.
        unconsumed: How many outcomes have not been asked for yet.
        trace: The places of the outcomes that the code has come to, in that order, once somebody wants to know.
        has_order: Whether the code asks for its steps in the same order each time. Code that gives every step an
            address of its own need not.
        closes: Whether the run has started children, which may have to end with it.
        starts: How many steps and children it has started.
        began_at: When the first record was begun, in microseconds; None if there is none.
        reached: The last place of the record that the code has come to in this pass.
        place: Where in the code that is: a record that was made in the stead of one that was put aside counts as at
            the place of that one, so that what follows is where it was before.
        aside: What retries of the whole workflow have put aside.
        expected: The expectations of events, in order, by the events' names.
        cancel: What says that the run was cancelled, once that is recorded.
        is_cancelling: Whether it is recorded, and the code has not been told.
        woken: The sleeps that were ended before their time, by place, and where that is recorded.
        timeouts: What says that the time of an expectation was over before its event came, by the place of that.
    """

    def __init__(self, steps: Iterable[StepRecord], base_seq: int = 0) -> None:
        #: A place where one was put aside, its place: whoever asks for it does it again.
        self._outcomes: dict[str, list[StepRecord | int]] = {}
        self._facts: dict[str, deque[StepRecord | int]] = {}
        self._gaps: dict[tuple[bool, str], deque[tuple[int, int]]] = {}
        self._stands_at: dict[int, int] = {}
        self._gap: int | None = None
        self._notes: dict[str, list[StepRecord]] = {}
        self._calls: dict[str, int] = {}
        self._passed: dict[str, int] = {}
        self.aside = PutAside()
        self.last_seq = base_seq
        self.starts = 0
        self.trace: list[int] | None = None
        self.unconsumed = 0
        self.has_order = True
        self.closes = False
        self.reached = self.place = 0
        self._first_notes: dict[int, int] = {}
        self._unread = 0
        self._furthest = self._last_try = self._last_sleep = 0
        self._live = False
        recorded = list(steps)
        if recorded:
            self.last_seq = recorded[-1].seq
        self.began_at = recorded[0].started_at if recorded else None
        self.expected: dict[str, list[StepRecord]] = {}
        self.timeouts: dict[int, StepRecord] = {}
        self.woken: dict[int, int] = {}
        self.cancel: StepRecord | None = None
        self.is_cancelling = False
        self._since: list[StepRecord] = []
        self._read(self.aside.in_force(recorded))
        self.closes = self.closes or bool(self.aside.redone)

    def _read(self, recorded: list[StepRecord]) -> None:
        """Put each record into the queue of its address; what comes after a cancel, when the code has been told."""
        is_aside, steps = self.aside.places, iter(recorded)
        for step in steps:
            kind, address = step.kind, step.address
            if kind is StepKind.TASK or kind is StepKind.LAUNCH or kind is StepKind.CHILD:
                if is_aside:
                    if not self._placed(step, self._outcomes.setdefault(address, []), is_fact=False):
                        if kind is StepKind.TASK:
                            self._notes.pop(address, None)
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
                if kind is not StepKind.TASK:
                    self.starts += 1
                    self.closes = self.closes or kind is StepKind.CHILD
            elif kind in _FACTS:
                facts = self._facts.setdefault(address, deque())
                if not is_aside:
                    facts.append(step)
                elif not self._placed(step, facts, is_fact=True):
                    continue
                if kind is StepKind.SLEEP:
                    self._last_sleep = step.seq
                elif kind is StepKind.EVENT:
                    self.expected.setdefault(step.name, []).append(step)
            else:
                self._note(step)
                if step is self.cancel:
                    self._since = list(steps)
                continue
            self._unread += 1
            place = self._stands_at.get(step.seq, step.seq) if is_aside else step.seq
            self._furthest = max(self._furthest, place)

    def _note(self, step: StepRecord) -> None:
        """Take in what is no outcome and no fact: attempts, and what says something of another record."""
        if step.kind is StepKind.TIMEOUT:
            self.timeouts[int(step.value or 0)] = step
        elif step.kind is StepKind.WAKE:
            # Of the sleep before it, though what a fork has started again may be recorded in between.
            self.woken[self._last_sleep] = step.seq
        elif step.kind is not StepKind.CANCEL:
            self._notes.setdefault(step.address, []).append(step)
            self._last_try = step.seq
        elif not any(retry.seq > step.seq for retry in self.aside.retries):
            # Else the run came to its end by itself before it was told, and was tried again since.
            self._cancelled(step)

    def _cancelled(self, cancel: StepRecord) -> None:
        """Forget the failed attempts of the step in flight. Of one that may run at most once, it stays known."""
        self.cancel, self.is_cancelling = cancel, True
        starts = {
            address: [note for note in notes if note.kind is StepKind.START]
            for address, notes in self._notes.items()
        }
        self._notes = {address: notes for address, notes in starts.items() if notes}

    def _placed(self, step: StepRecord, queue: MutableSequence[StepRecord | int], *, is_fact: bool) -> bool:
        """Put a record into its address' queue; tell whether it counts, and was not put aside.

        One that was made after another of that address had been put aside takes that one's place.
        """
        gaps = self._gaps.setdefault((is_fact, step.address), deque())
        if gaps and step.seq > gaps[0][1]:
            index, _ = gaps.popleft()
            place = queue[index]
            assert isinstance(place, int)
            self._stands_at[step.seq] = place
        else:
            index = len(queue)
            queue.append(step)
        marker = self.aside.places.get(step.seq)
        if marker is not None:
            gaps.append((index, marker))
            queue[index] = self._stands_at.get(step.seq, step.seq)
            return False
        queue[index] = step
        return True
