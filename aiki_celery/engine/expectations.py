"""Which event answers which expectation: a pure function of the run's record and of what it has received.

The n-th expectation of a name gets the n-th event of that name. An expectation whose time was over before the event was
sent gets none, and the event goes to the next one. Nothing is written when an event is consumed: whoever reads the same
record and the same inbox finds the same, and what comes later changes nothing that was found before.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from itertools import groupby

from aiki_celery.engine.replay import Record
from aiki_celery.model.received import Received, Stretch
from aiki_celery.model.records import StepRecord


@dataclass(slots=True)
class _Line:
    """The events and the expectations of one name that have not met yet.

    Attributes:
        received: All the events there were.
        events: The events.
        pending: The expectations.
        read: How many expectations the record had when it was last looked at.
        consumed: Number of the last event that has met its expectation.
    """

    received: list[Received] = field(default_factory=list)
    events: deque[Received] = field(default_factory=deque)
    pending: deque[StepRecord] = field(default_factory=deque)
    read: int = 0
    consumed: int = 0


class Expectations:
    """Matches what a run expects with what it has received.

    Args:
        record: The run's record.
        received: Its inbox.
        read_at: When that was read, in microseconds.
        known: How many it has received, as far as it is known: those that a run consumed before it went on as new are
            counted, and not there any more.

    Attributes:
        known: Place of the last event that is known of.
        read_at: When the inbox was last read; whatever was sent before that is known.
    """

    def __init__(self, record: Record, received: Iterable[Received], read_at: int, known: int = 0) -> None:
        self._record = record
        self._timeouts = record.timeouts
        self._lines: dict[str, _Line] = {}
        self._answers: dict[int, Received] = {}
        self._passed: set[int] = set()
        self._had: set[int] = set()
        self._withdrawn: set[int] = set()
        self.known = known
        self.read_at = read_at
        self.learn(received, read_at)

    def learn(self, received: Iterable[Received], read_at: int) -> None:
        """Take in what has come since, as it was read from the journal at an instant."""
        self.read_at = read_at
        names = set()
        for event in received:
            self.known = max(self.known, event.number)
            line = self._line(event.name)
            line.received.append(event)
            line.events.append(event)
            names.add(event.name)
        for name in names:
            self._match(self._lines[name])

    def add(self, expectation: StepRecord) -> None:
        """Take in a new expectation, the last of its name."""
        self._record.expected.setdefault(expectation.name, []).append(expectation)

    def withdraw(self, expectation: StepRecord) -> None:
        """Leave an expectation out from here on, which nobody can wait for any more: its event is for the next one."""
        self._withdrawn.add(expectation.seq)
        line = self._lines.pop(expectation.name, _Line())
        for one in self._record.expected.get(expectation.name, ()):
            self._answers.pop(one.seq, None)
        self._lines[expectation.name] = _Line(line.received, deque(line.received))
        self._line(expectation.name)

    def answer(self, expectation: StepRecord) -> Received | None:
        """Give the event that answers an expectation, if it is there."""
        self._line(expectation.name)
        return self._answers.get(expectation.seq)

    def is_over(self, expectation: StepRecord, now: int) -> bool:
        """Tell whether the time of an expectation without an answer is over, as far as the inbox was read."""
        due_at = expectation.due_at
        if expectation.seq in self._passed:
            return True
        return due_at is not None and due_at <= now and due_at <= self.read_at

    def wanted(self, expectations: Collection[StepRecord]) -> dict[str, int]:
        """Tell how many more events of each name have to come, at least, until all of these may be answered.

        One before them that is not among them, and whose time may be over by then, leaves its event to the next.
        """
        seqs = {expectation.seq for expectation in expectations}
        counts: dict[str, int] = {}
        for name in {expectation.name for expectation in expectations}:
            pending = [
                one.seq
                for one in self._line(name).pending
                if one.seq not in self._timeouts and (one.due_at is None or one.seq in seqs)
            ]
            last = max((place for place, seq in enumerate(pending, 1) if seq in seqs), default=0)
            if last:
                counts[name] = last
        return counts

    def consumed(self) -> dict[str, int]:
        """Tell which events have met their expectation: by name, the number in the inbox of the last one that has.

        It is consumed, and so are all of that name before it.
        """
        lines = {name: self._line(name) for name in self._lines}
        return {name: line.consumed for name, line in lines.items() if line.consumed}

    def have(self, expectation: StepRecord) -> None:
        """Note that the code was told that an expectation is answered."""
        if (event := self._answers.get(expectation.seq)) is not None:
            self._had.add(event.number)

    def had(self) -> list[Stretch]:
        """Tell which events the code was told of: not those that answer what it has not looked at again."""
        events = sorted(self._answers.values(), key=lambda event: (event.name, event.number))
        stretches: list[Stretch] = []
        for (name, is_had), group in groupby(events, lambda event: (event.name, event.number in self._had)):
            if is_had:
                places = [event.number for event in group]
                stretches.append(Stretch(name, places[0], places[-1]))
        return stretches

    def told(self) -> list[Received]:
        """Give the events that the code was told of; see :meth:`had`."""
        return [event for event in self._answers.values() if event.number in self._had]

    def left(self) -> list[Received]:
        """Give the events that nothing has expected, in order."""
        events = (event for name in self._lines for event in self._line(name).events)
        return sorted(events, key=lambda event: event.number)

    def _line(self, name: str) -> _Line:
        line = self._lines.get(name)
        if line is None:
            line = self._lines[name] = _Line()
        expected = self._record.expected.get(name, ())
        if line.read < len(expected):
            line.pending.extend(one for one in expected[line.read :] if one.seq not in self._withdrawn)
            line.read = len(expected)
            self._match(line)
        return line

    def _match(self, line: _Line) -> None:
        while line.pending and line.events:
            expectation, event = line.pending[0], line.events[0]
            if expectation.seq in self._timeouts:
                line.pending.popleft()
            elif expectation.due_at is not None and event.sent_at > expectation.due_at:
                self._passed.add(expectation.seq)
                line.pending.popleft()
            else:
                self._answers[expectation.seq] = event
                line.consumed = event.number
                line.pending.popleft()
                line.events.popleft()
