"""`revoke(terminate=True)` ends a process: the caretaker cancels its run before the death is looked at as a crash."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from celery.worker import state

from aiki_celery.celery_binding.caretaker import Caretaker
from aiki_celery.celery_binding.pool_watch import PoolWatch
from aiki_celery.journal.journal import Journal
from aiki_celery.model.records import Envelope
from tests.contract.families import taken, waiting
from tests.contract.house import House
from tests.contract.rows import run_row
from tests.contract.stories import BOB, claimed
from tests.harness.eventually import eventually


@contextmanager
def bobs_caretaker(journal: Journal) -> Iterator[list[tuple[str, str | None]]]:
    """Looks after a worker whose process is gone; gives what it publishes: runs, and why they were to end."""
    told: list[tuple[str, str | None]] = []

    def publish(envelopes: Sequence[Envelope]) -> None:
        told.extend((run.run_id, journal.views.get(run.run_id).cancel_reason) for run in envelopes)

    house = House(journal)
    caretaker = Caretaker(
        replace(house.binding.sweep_context(), publish=publish),
        BOB.worker_id,
        house.binding.caretaker_notes,
        PoolWatch(lambda: [BOB.pid]),
        list,
        lambda: False,
    )
    caretaker.start()
    try:
        yield told
    finally:
        caretaker.end()


@contextmanager
def revoked(run_id: str) -> Iterator[None]:
    """What Celery has heard before it ends a process."""
    state.revoked.add(run_id)
    try:
        yield
    finally:
        state.revoked.discard(run_id)


def test_run_whose_process_was_terminated_is_asked_to_end_first(journal: Journal) -> None:
    """Its message finds it asked: the step that was interrupted is not begun again."""
    run_id = claimed(journal, owner=BOB).run_id

    with revoked(run_id), bobs_caretaker(journal) as told:
        eventually(lambda: told, 10, "the run to be freed")

    assert (run_id, "revoked") == told[0]
    assert "queued" == run_row(journal, run_id).status


def test_step_whose_process_was_terminated_is_over(journal: Journal) -> None:
    """A started step, which has nothing to clean up, is over: nothing is left to be begun again."""
    run_id = waiting(journal, 1).children[1]
    taken(journal, run_id)

    with revoked(run_id), bobs_caretaker(journal) as told:
        eventually(lambda: told or run_row(journal, run_id).finished_at, 10, "the step to be freed or over")

    row = run_row(journal, run_id)
    assert ([], "cancelled", "revoked") == (told, row.status, row.reason)


def test_run_that_was_not_revoked_is_begun_again(journal: Journal) -> None:
    """A process that died by itself."""
    run_id = claimed(journal, owner=BOB).run_id

    with bobs_caretaker(journal) as told:
        eventually(lambda: told, 10, "the run to be freed")

    assert (run_id, None) == told[0]
