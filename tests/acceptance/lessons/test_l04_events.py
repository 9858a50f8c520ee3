"""L4: an event between the last look and parking wakes the run; sends at once to a parked run are all taken."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from sqlalchemy import create_engine, text

from aiki_celery import RunStatus
from aiki_celery.engine.ports import Forever
from aiki_celery.journal.inbox.inbox import Wanted
from aiki_celery.model.events import RunSuspending
from tests.acceptance.conftest import Lab
from tests.acceptance.events.definitions import approved, collect, number, purchase
from tests.acceptance.events.test_events import ANN, APP
from tests.harness.eventually import eventually


def test_event_just_before_parking_wakes_the_run(embedded_lab: Lab) -> None:
    """The event is sent when the pass has looked for the last time and is about to park."""
    journal, binding = embedded_lab.aiki.journal, embedded_lab.aiki.binding

    # What would happen: a run that parks without looking again waits, and what it waits for is in its inbox.
    blind = purchase.enqueue(None)
    taken = binding.executor.claim(blind.id, binding.process.owner_here())
    assert taken is not None
    blind.send(approved, ANN)
    everything_known = Wanted({"approved": 1}, known=1_000_000)
    assert journal.launches.wait(taken[0], [], [], set(), 1, "waits", everything_known)
    assert (RunStatus.AWAITING_EVENT, 1) == (blind.status, len(journal.inbox.received(blind.id)))

    # What happens: it looks again in the transaction that parks it.
    handle = purchase.enqueue(None)
    sent: list[bool] = []

    def send(event: RunSuspending) -> None:
        if not sent:
            sent.append(handle.send(approved, ANN))

    forget = embedded_lab.aiki.on(RunSuspending, send)
    taken = binding.executor.claim(handle.id, binding.process.owner_here())
    assert taken is not None
    outcome = binding.executor.run(purchase, *taken, Forever(), told=True)
    forget()
    assert ([True], RunStatus.COMPLETED, '"ann on 2030-05-01"') == (sent, outcome.status, outcome.output)


def test_sends_at_once_to_a_parked_run_are_all_taken(lab: Lab, at_rest: Callable[..., Any]) -> None:
    """Eight senders start together when the run is parked; each is told that its event counts, and it does."""
    lab.start_worker(APP, concurrency=2)
    handle = collect.enqueue(8)
    eventually(lambda: handle.status is RunStatus.AWAITING_EVENT, 10, "the run to wait")

    # What would happen: of two that have read the same row before they write it, the second has a conflict.
    look, write = (
        text("SELECT tags FROM aiki_runs WHERE id = :run"),
        text("UPDATE aiki_runs SET tags = :mine WHERE id = :run AND tags IS NULL"),
    )
    engine = create_engine(lab.journal)
    with engine.connect() as one, engine.connect() as other:
        assert [None, None] == [
            connection.execute(look, {"run": handle.id}).scalar() for connection in (one, other)
        ]
        written = []
        for connection in (one, other):
            written.append(connection.execute(write, {"run": handle.id, "mine": "seen"}).rowcount)
            connection.commit()
    engine.dispose()
    assert [1, 0] == written

    # What happens: a send locks the row before it reads it.
    start, results = threading.Barrier(8), []

    def send(what: int) -> None:
        start.wait(10)
        results.append(handle.send(number, what))

    senders = [threading.Thread(target=send, args=(what,)) for what in range(8)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join(20)

    assert [True] * 8 == results
    assert list(range(8)) == sorted(handle.get(timeout=20))
    at_rest(lab)
