"""Finished runs whose callbacks wait to be confirmed."""

from __future__ import annotations

from aiki_celery.journal.journal import Journal
from tests.contract.families import children_of, launched
from tests.contract.rows import run_row, set_run
from tests.contract.stories import ALICE, BOB, finished, parked, queued, token


def test_unattended_gives_what_nobody_is_at(journal: Journal) -> None:
    """A finished run with an owner is being settled; one without waits for somebody."""
    attended = finished(journal, told=False)
    before = journal.settlements.take_unattended(10)
    journal.recovery.free_all(ALICE.worker_id)
    after = journal.settlements.take_unattended(10)
    assert ([], [attended]) == (before, [envelope.run_id for envelope in after])


def test_unattended_run_is_not_given_again_at_once(journal: Journal) -> None:
    """Whoever was sent the message may take a while; if nobody takes it, it is given once more."""
    run_id = finished(journal, told=False)
    journal.recovery.free_all(ALICE.worker_id)
    given = [len(journal.settlements.take_unattended(10)) for _ in range(2)]
    set_run(journal, run_id, due_at=1)
    assert ([1, 0], 1) == (given, len(journal.settlements.take_unattended(10)))
    journal.settlements.confirm([run_id])
    assert (None, []) == (run_row(journal, run_id).due_at, journal.settlements.take_unattended(10))


def test_run_that_is_put_off_is_given_at_its_time(journal: Journal) -> None:
    """Whoever sweeps knows when the next one is to be told; one that somebody is telling is nobody else's matter."""
    none = journal.settlements.due_in()
    run_id, told = finished(journal, told=False), finished(journal, told=False)
    attended = journal.settlements.due_in()
    journal.recovery.free_all(ALICE.worker_id)
    journal.settlements.confirm([told])
    at_once = journal.settlements.due_in() or 0.0
    journal.settlements.put_off([run_id, told], journal.now() + 3_600_000_000)
    later = journal.settlements.due_in() or 0.0
    assert (None, None, True, True) == (none, attended, at_once < 0, 3590 < later <= 3600)
    assert ([], None) == (journal.settlements.take_unattended(10), run_row(journal, told).due_at)
    set_run(journal, run_id, due_at=journal.now())
    assert [run_id] == [envelope.run_id for envelope in journal.settlements.take_unattended(10)]


def test_run_that_nobody_holds_and_is_cancelled_by_force_has_to_be_told(journal: Journal) -> None:
    """No pass of it tells Celery; what was started by another run is told to nobody else."""
    forced, family = parked(journal), launched(journal, 1)
    journal.control.cancel(forced, "no", force=True)
    journal.control.cancel(family.id, "no", force=True)
    told = {envelope.run_id for envelope in journal.settlements.take_unattended(10)}
    assert {forced, family.id} == told
    assert ["cancelled"] == [child.status for child in children_of(journal, family.id)]


def test_confirm_frees_exactly_the_runs_named(journal: Journal) -> None:
    """Confirmed runs have no mark and no owner; others keep theirs."""
    told, other = finished(journal, told=False), finished(journal, told=False)
    journal.settlements.confirm([told])
    rows = [run_row(journal, run_id) for run_id in (told, other)]
    assert [(None, None), ("pending", ALICE.worker_id)] == [(row.settlement, row.owner) for row in rows]


def test_claim_settlement_is_granted_to_one(journal: Journal) -> None:
    """Two workers that get a message about it do not both tell the outside."""
    run_id = finished(journal, told=False)
    journal.recovery.free_all(ALICE.worker_id)
    grants = [journal.claims.claim_settlement(run_id, owner, token()) for owner in (BOB, ALICE)]
    assert ([True, False], BOB.worker_id) == (grants, run_row(journal, run_id).owner)


def test_claim_settlement_of_a_confirmed_or_unfinished_run_is_refused(journal: Journal) -> None:
    """There is nothing to tell about a run that was told of, or that is not over."""
    told, waiting = finished(journal), queued(journal)
    assert [False, False] == [
        journal.claims.claim_settlement(run_id, BOB, token()) for run_id in (told, waiting)
    ]
