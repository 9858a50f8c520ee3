"""Events: what is sent to a run is written into its inbox, and wakes it if it waits for that.

A send locks the run's row, as parking and ending do: so an event is either there when the run looks for the last time
before it waits, or finds it waiting, or finds that it is over. An event is written once and never changed,
until the run goes on as new; which of them a run has consumed follows from its record, and is written nowhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic_core import from_json, to_json
from sqlalchemy import Connection

from aiki_celery.errors import EventLimitExceeded, RunFinished, RunNotFound, WrongState
from aiki_celery.journal.connections import Connections
from aiki_celery.journal.envelopes import envelope
from aiki_celery.journal.inbox.statements import InboxStatements
from aiki_celery.journal.schema import Schema
from aiki_celery.model.received import Received
from aiki_celery.model.records import Envelope
from aiki_celery.model.status import RunKind, RunStatus

#: Most reference ids that one query asks for: databases refuse statements with too many parameters.
REFERENCES_AT_ONCE = 1000

_WAITING = frozenset({RunStatus.AWAITING_EVENT.value, RunStatus.AWAITING_STEPS.value})


@dataclass(frozen=True, slots=True)
class Wanted:
    """The events that a run is about to wait for.

    Attributes:
        counts: How many more of each, by name.
        known: Place of the last event that the run knew when it decided to wait.
        due_at: When the first of the waits is over, in microseconds.
    """

    counts: dict[str, int]
    known: int
    due_at: int | None = None


#: Nothing: a run that waits for starts alone. What it receives meanwhile is of no concern to the wait.
NO_EVENTS = Wanted({}, 2**31 - 1)


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of an event that was sent.

    Attributes:
        number: Its place in the inbox.
        is_new: Whether it counts; not if one with its id had come before.
        woken: What the run's message is made from, if it goes on because of it.
    """

    number: int
    is_new: bool
    woken: Envelope | None = None


class Inbox:
    """Writes and reads what runs receive.

    Args:
        connections: The database.
        schema: The tables.
        redelivery_after: Seconds after which a run that nobody took is published again.
        max_events: Most events that the inbox of a run may hold.
    """

    def __init__(
        self, connections: Connections, schema: Schema, redelivery_after: float, max_events: int
    ) -> None:
        self._connections = connections
        self._max_events = max_events
        self._s = InboxStatements(connections, schema, redelivery_after)

    def send(self, run_id: str, name: str, payload: str, event_id: str) -> Delivery:
        """Put an event into a run's inbox, once for each id, in a transaction of its own.

        Args:
            run_id: The run.
            name: Name of the event.
            payload: What is sent, as JSON text.
            event_id: The sender's own name for it, or one drawn for it.

        Raises:
            RunNotFound: There is no run with this id.
            RunFinished: The run is over.
            WrongState: It is no run of a workflow.
            EventLimitExceeded: Its inbox is full.
        """
        offered: set[int] = set()

        def work() -> Delivery:
            with self._connections.transaction() as connection:
                delivery = self.deliver(connection, run_id, name, payload, event_id)
                if delivery.number in offered:
                    # An earlier try was committed and its answer lost.
                    return replace(delivery, is_new=True)
                if delivery.is_new:
                    offered.add(delivery.number)
                    return delivery
                return replace(delivery, woken=None)

        return self._connections.retrying(work)

    def deliver(
        self, connection: Connection, run_id: str, name: str, payload: str, event_id: str
    ) -> Delivery:
        """Put an event into a run's inbox, within a transaction; see :meth:`send`.

        Of one that had come before, ``woken`` is the run if it is queued right now.
        """
        run = self._s.lock.run(connection, run=run_id).first()
        if run is None:
            raise RunNotFound(run_id)
        if run.kind != RunKind.WORKFLOW.value:
            raise WrongState(run_id, run.status, f"it is a {run.kind}; events are sent to runs of workflows")
        is_over = RunStatus(run.status).is_terminal
        if is_over or self._is_full(connection, run_id, run.events):
            found = self._known(connection, run_id, event_id)
            if found is not None:
                return Delivery(found, is_new=False)
            raise RunFinished(run_id, run.status) if is_over else EventLimitExceeded(run_id, self._max_events)
        number = run.events + 1
        row = {"run_id": run_id, "number": number, "name": name, "event_id": event_id, "payload": payload}
        if self._s.insert.run(connection, **row).rowcount != 1:
            known = self._known(connection, run_id, event_id) or 0
            return Delivery(known, False, envelope(run) if run.status == RunStatus.QUEUED.value else None)
        return Delivery(number, True, self._count_off(connection, run, name, number))

    def read(self, connection: Connection, run_id: str, after: int = 0) -> tuple[Received, ...]:
        """Give the events that a run has received, in order, from beyond a place on."""
        rows = self._s.read.run(connection, run=run_id, after=after)
        return tuple([Received._make(row) for row in rows])

    def received(self, run_id: str, after: int = 0) -> tuple[Received, ...]:
        """Give the events that a run has received, on a connection of its own; see :meth:`read`."""

        def work() -> tuple[Received, ...]:
            with self._connections.autocommit() as connection:
                return self.read(connection, run_id, after)

        return self._connections.retrying(work)

    def come(self, connection: Connection, run_id: str, wanted: Wanted) -> dict[str, int]:
        """Give how many of those that are wanted have come since the run looked, by name."""
        come: dict[str, int] = {}
        for event in self.read(connection, run_id, wanted.known):
            if come.get(event.name, 0) < wanted.counts.get(event.name, 0):
                come[event.name] = come.get(event.name, 0) + 1
        return come

    def runs_of(self, workflow: str, reference_ids: Sequence[str]) -> dict[str, str]:
        """Give the ids of a workflow's runs that have these reference ids, by these."""
        found: dict[str, str] = {}
        for first in range(0, len(reference_ids), REFERENCES_AT_ONCE):
            part = reference_ids[first : first + REFERENCES_AT_ONCE]
            rows = self._connections.read(self._s.by_reference(workflow, part))
            found.update((row.reference_id, row.id) for row in rows)
        return found

    def _count_off(self, connection: Connection, run: Any, name: str, number: int) -> Envelope | None:
        """Count the event, and queue the run if it was the last thing it waited for."""
        wanted: dict[str, int] = {}
        if run.status in _WAITING and run.await_events is not None:
            wanted = from_json(run.await_events)
        if name not in wanted:
            self._s.received.run(connection, run=run.id, number=number)
            return None
        left = run.await_count - 1
        if left > 0:
            still = fewer(wanted, {name: 1})
            self._s.counted.run(connection, run=run.id, number=number, left=left, wanted=write_wanted(still))
            return None
        self._s.woken.run(connection, run=run.id, number=number, why=f"event {name!r} has come")
        return envelope(run)

    def _known(self, connection: Connection, run_id: str, event_id: str) -> int | None:
        """Give the number of the event that has come under an id."""
        found: int | None = self._s.known.run(connection, run=run_id, event_id=event_id).scalar()
        return found

    def _is_full(self, connection: Connection, run_id: str, received: int) -> bool:
        """Tell whether the inbox holds all it may; what a run consumed before it went on as new is not held."""
        if received < self._max_events:
            return False
        return int(self._s.count.run(connection, run=run_id).scalar_one()) >= self._max_events


def fewer(wanted: dict[str, int], come: dict[str, int]) -> dict[str, int]:
    """Give how many of each event are still waited for, after some have come."""
    left = {name: count - come.get(name, 0) for name, count in wanted.items()}
    return {name: count for name, count in left.items() if count > 0}


def write_wanted(wanted: dict[str, int]) -> str | None:
    """Write how many of each event are waited for, as JSON text; None where none are."""
    return to_json(wanted).decode() if wanted else None
