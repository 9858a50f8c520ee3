"""Finished runs whose callbacks wait to be confirmed."""

from __future__ import annotations

from aiki_celery.journal.journal import Journal
from tests.contract.rows import run_row
from tests.contract.stories import ALICE, BOB, finished, queued, token


def test_unattended_gives_what_nobody_is_at(journal: Journal) -> None:
    """A finished run with an owner is being settled; one without waits for somebody."""
    attended = finished(journal, told=False)
    before = journal.settlements.unattended(10)
    journal.recovery.free_all(ALICE.worker_id)
    after = journal.settlements.unattended(10)
    assert ([], [attended]) == (before, [envelope.run_id for envelope in after])


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
