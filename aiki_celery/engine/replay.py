"""A cursor over what a run has recorded.

A step's address is its name and the hash of its input. An address holds a queue of recorded outcomes, first in, first
out, so steps may change places, go away or be added at the end without disturbing a run in flight. What is recorded and
was not asked for when a new step comes up means that code and record have parted.
"""

from __future__ import annotations

from aiki_celery.engine.recorded import Recorded
from aiki_celery.model.records import StepRecord
from aiki_celery.model.status import StepKind

_TRIES = (StepKind.ATTEMPT, StepKind.START)


class Record(Recorded):
    """What a run has recorded, consumed step by step."""

    @property
    def is_replaying(self) -> bool:
        """Whether the code is still within what is recorded."""
        return not self._live and (self._unread > 0 or bool(self._since))

    @property
    def goes_on(self) -> bool:
        """Whether something is recorded beyond the place that the code has come to, be it a failed attempt."""
        if self.unconsumed > 0 or self._furthest > self.place:
            return True
        return not self._live and any(note.kind in _TRIES for notes in self._notes.values() for note in notes)

    def came_beyond(self, place: int) -> bool:
        """Tell whether an earlier pass had come beyond a place: an outcome, a fact or an attempt lies after it."""
        return max(self._furthest, self._last_try) > place

    def next_seq(self) -> int:
        """Give the place of the next record. From here on, the run is live."""
        self._live = True
        self.last_seq += 1
        self.reached = self.last_seq
        self.place = self.last_seq if self._gap is None else max(self.place, self._gap)
        if self.trace is not None:
            self.trace.append(self.last_seq)
        return self.last_seq

    def take(self, address: str) -> StepRecord | None:
        """Consume the next outcome recorded at an address, or give None where there is none left."""
        asked = self._calls.get(address, 0)
        self._calls[address] = asked + 1
        self._gap = None
        queue = self._outcomes.get(address)
        if queue is None or asked >= len(queue):
            return None
        found = queue[asked]
        if isinstance(found, int):
            self._gap = found
            return None
        self.unconsumed -= 1
        self._unread -= 1
        self.come_to(found.seq)
        if self.trace is not None:
            self.trace.append(found.seq)
        return found

    def untake(self, address: str) -> None:
        """Undo that an address was asked for, where that gave nothing."""
        self._calls[address] -= 1

    def note_cancel(self, cancel: StepRecord) -> None:
        """Take in that the run's cancel was recorded just now. What was to come after that place is not recorded."""
        self._cancelled(cancel)
        self._live = True
        self.last_seq = cancel.seq
        self.reached = min(self.reached, cancel.seq)
        self.place = min(self.place, cancel.seq)
        while self.trace and self.trace[-1] >= cancel.seq:
            self.trace.pop()

    def begin_clean_up(self) -> None:
        """The code has been told that the run is cancelled: from here on, what was recorded since then answers it."""
        self.is_cancelling = False
        since, self._since = self._since, []
        if self.cancel is not None:
            # Whatever was under way: where the code cleans up is after what it was told.
            self.place = self.cancel.seq
        self._gaps.clear()
        self._facts.clear()
        self.unconsumed = self._unread = 0
        for address in {*self._outcomes, *(step.address for step in since)}:
            queue, calls = self._outcomes.setdefault(address, []), self.calls_of(address)
            del queue[calls:]
            queue.extend([0] * (calls - len(queue)))
        self._read(since)

    def may_start(self, address: str) -> bool:
        """Tell whether what was asked for last at an address may be started, as :meth:`take` gave nothing.

        It may if nothing is recorded that was not asked for, or if it is one that was put aside: code and record have
        not parted then, it is the very place that is to be done again.
        """
        if not self.unconsumed or not self.has_order:
            return True
        queue, asked = self._outcomes.get(address), self.calls_of(address)
        return queue is not None and asked <= len(queue) and isinstance(queue[asked - 1], int)

    def take_fact(self, address: str) -> StepRecord | None:
        """Consume the next wait or instant recorded under a name; these never mean that code and record have parted."""
        self._gap = None
        queue = self._facts.get(address)
        if not queue:
            return None
        fact = queue.popleft()
        if isinstance(fact, int):
            self._gap = fact
            return None
        self._unread -= 1
        self.come_to(fact.seq)
        return fact

    def pass_by(self, address: str) -> None:
        """Count a sleep that took no time, which is not recorded: the next one of its name says how many there were."""
        self._passed[address] = self._passed.get(address, 0) + 1

    def passed_by(self, address: str) -> str | None:
        """Tell how many sleeps of a name took no time so far, as the next one records it; None if none did."""
        return str(self._passed[address]) if address in self._passed else None

    def was_passed_by(self, address: str) -> bool:
        """Tell whether a sleep is one of those that took no time before the next one recorded, and count it then."""
        queue = self._facts.get(address)
        if not queue or isinstance(queue[0], int):
            return False
        is_passed = self._passed.get(address, 0) < int(queue[0].value or 0)
        if is_passed:
            self.pass_by(address)
        return is_passed

    def come_to(self, seq: int) -> None:
        """Take in that the code has come to what is recorded at a place."""
        if seq > self.reached:
            self.reached = seq
        place = self._stands_at.get(seq, seq)
        if place > self.place:
            self.place = place

    def is_recorded(self, address: str) -> bool:
        """Tell whether the outcome that is asked for next at an address is recorded."""
        queue, asked = self._outcomes.get(address, ()), self.calls_of(address)
        return asked < len(queue) and not isinstance(queue[asked], int)

    def left_at(self, address: str) -> int:
        """Tell how many outcomes recorded at an address have not been asked for yet."""
        return max(0, len(self._outcomes.get(address, ())) - self.calls_of(address))

    def calls_of(self, address: str) -> int:
        """Tell how often an address has been asked for in this pass."""
        return self._calls.get(address, 0)

    def ordinal(self, address: str) -> int:
        """Tell which call of an address the last one asked for is, from 0, those counted that were undone."""
        return self.aside.ordinal(address, self._calls.get(address, 0) - 1)

    def take_notes(self, address: str) -> list[StepRecord]:
        """Consume the attempts and starts recorded for the step in flight at an address: the next one has its own."""
        return self._notes.pop(address, [])

    def keep_note(self, note: StepRecord) -> None:
        """Note the start, which was just written, of a step that was cut short and may run at most once."""
        self._notes.setdefault(note.address, []).append(note)

    def first_seq(self, step: StepRecord) -> int:
        """Give the place of the first record of a step: of its first failed attempt, if there was one."""
        return self._first_notes.get(step.seq, step.seq)

    def left_over(self) -> list[str]:
        """Give the addresses of unconsumed outcomes, in the order they were recorded."""
        queues = self._outcomes.items()
        left = [
            step
            for address, queue in queues
            for step in queue[self.calls_of(address) :]
            if not isinstance(step, int)
        ]
        return [step.address for step in sorted(left, key=lambda step: step.seq)]
