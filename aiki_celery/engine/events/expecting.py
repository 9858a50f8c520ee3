"""Expecting events: an expectation is recorded, and has an answer as soon as an event of its name is there for it."""

from __future__ import annotations

from typing import Any

from aiki_celery.definitions.event import Event
from aiki_celery.definitions.future import EventFuture
from aiki_celery.engine.current_pass import Pass
from aiki_celery.engine.fact_records import new_fact
from aiki_celery.errors import EventTimeout, InputInvalid
from aiki_celery.journal.inbox.inbox import NO_EVENTS, Wanted
from aiki_celery.model.clock import MICROSECOND
from aiki_celery.model.status import StepKind, StepStatus


def expect(current: Pass, run: Any, event: Event[Any], seconds: float | None) -> EventFuture[Any]:
    """Give the future of a recorded expectation, or record a new one.

    It is written together with the starts that the code reaches, before anything else is.

    Args:
        current: The pass.
        run: The run, for the future.
        event: What is expected.
        seconds: How long it may take, counted from when this was first reached; None for ever.

    Raises:
        InputInvalid: It is no event, or the time is negative.
    """
    if not isinstance(event, Event):
        raise InputInvalid(
            current.claim.workflow, "event", f'must be what event("name", Type) gave, not {event!r:.60}'
        )
    if seconds is not None and seconds < 0:
        raise InputInvalid(event.name, "timeout", f"must not be negative: {seconds:g} s")
    address = f"event:{event.name}"
    expectations, record = current.expectations, current.record.take_fact(address)
    if record is None:
        current.cancel_here()
        now = current.clock.now()
        due_at = None if seconds is None else now + int(seconds * MICROSECOND)
        waiting = StepStatus.WAITING
        record = new_fact(
            current, StepKind.EVENT, event.name, address, now=now, status=waiting, due_at=due_at
        )
        current.started.append((record, None))
        expectations.add(record)
    future: EventFuture[Any] = EventFuture(run, event, record, "")
    _answered(current, future)
    return future


def settle(current: Pass, future: EventFuture[Any]) -> None:
    """Find out what became of an expectation, if that is known by now: its event has come, or its time is over."""
    if _answered(current, future) or current.record.is_cancelling:
        return
    record, expectations = future.record, current.expectations
    now, due_at = current.clock.now(), record.due_at
    if due_at is not None and due_at <= now and expectations.read_at < due_at:
        # What was sent before the time was over counts, and may not have been seen yet.
        look_again(current)
        if _answered(current, future) or current.record.is_cancelling:
            return
    if expectations.is_over(record, now):
        place, where = str(record.seq), (current.record.reached, current.record.place)
        timeout = new_fact(current, StepKind.TIMEOUT, record.name, record.address, now=now, value=place)
        # The code has not come to it before it is told, which may be in a later pass.
        current.record.reached, current.record.place = where
        current.write(timeout)
        current.record.timeouts[record.seq] = timeout
        _answered(current, future)


def look_again(current: Pass) -> None:
    """Read what has come since the inbox was last read."""
    now = current.clock.now()
    current.expectations.learn(current.inbox.received(current.claim.run_id, current.expectations.known), now)
    # What came after a cancel does not count, so that has to be known.
    current.look()


def wanted(current: Pass, futures: list[EventFuture[Any]]) -> Wanted:
    """Tell what the journal has to know of the events that a run is about to wait for."""
    if not futures:
        return NO_EVENTS
    expectations = current.expectations
    due = [future.record.due_at for future in futures if future.record.due_at is not None]
    counts = expectations.wanted([future.record for future in futures])
    return Wanted(counts, expectations.known, min(due, default=None))


def outcome(future: EventFuture[Any]) -> Any:
    """Give what was sent, or the exception in its place."""
    record = future.record
    if record.status is StepStatus.COMPLETED:
        return future.definition.read(record.value or "null")
    return EventTimeout(record.name, ((record.due_at or 0) - record.started_at) / MICROSECOND)


def _answered(current: Pass, future: EventFuture[Any]) -> bool:
    """Put what became of an expectation into its future, if that is known."""
    record = future.record
    timeout = current.record.timeouts.get(record.seq)
    if timeout is not None:
        future.record = record._replace(
            status=StepStatus.FAILED, finished_at=record.due_at or timeout.finished_at
        )
        return True
    found = current.expectations.answer(record)
    if found is None or not current.counts(found.sent_at):
        return False
    future.record = record._replace(
        status=StepStatus.COMPLETED, value=found.payload, finished_at=found.sent_at
    )
    return True
