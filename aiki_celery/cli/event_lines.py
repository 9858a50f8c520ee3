"""The events of a run as text: which it expects, since when, what came and when; and what nobody has asked for yet."""

from __future__ import annotations

from collections.abc import Sequence

from aiki_celery.cli.moments import moment, since
from aiki_celery.engine.expectations import Expectations
from aiki_celery.engine.replay import Record
from aiki_celery.model.clock import MICROSECOND
from aiki_celery.model.received import Received
from aiki_celery.model.records import StepRecord


class EventLines:
    """What can be said of a run's events.

    Args:
        steps: The run's records.
        received: Its inbox.
        is_over: Whether the run is over, so that nothing more comes.
    """

    def __init__(
        self,
        steps: Sequence[StepRecord],
        received: Sequence[Received],
        *,
        is_over: bool = False,
    ) -> None:
        self._is_over = is_over
        record = Record(steps)
        if record.is_cancelling:
            record.begin_clean_up()
        self._timeouts = record.timeouts
        self._expectations = Expectations(record, received, 0)

    def expectation(self, step: StepRecord) -> str:
        """Say what became of an expectation."""
        found = self._expectations.answer(step)
        if found is not None:
            waited = (found.sent_at - step.started_at) / MICROSECOND
            when = f"came after {waited:.3f} s" if waited > 0 else f"had come {-waited:.3f} s before"
            return f"event {step.name!r}  {when}{_known_as(found)}"
        if step.seq in self._timeouts:
            return f"event {step.name!r}  did not come until {moment(step.due_at or 0)}"
        if self._is_over:
            return f"event {step.name!r}  did not come"
        until = f" until {moment(step.due_at)}" if step.due_at is not None else ""
        return f"event {step.name!r}  waits{until}"

    def unexpected(self, start: int) -> list[str]:
        """Give a line for each event that the run has received and not asked for."""
        return [
            f"  {event.number:>4}  {since(event.sent_at, start)}  event {event.name!r}{_known_as(event)}"
            for event in self._expectations.left()
        ]


def _known_as(event: Received) -> str:
    is_own = event.event_id is not None and not event.event_id.startswith("aiki:")
    return f"  id {event.event_id}" if is_own else ""
