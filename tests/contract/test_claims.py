"""Taking runs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from aiki_celery.journal.journal import Journal
from aiki_celery.model.records import Owner
from aiki_celery.model.status import TIMED, RunStatus
from aiki_celery.model.transitions import sources_of
from tests.contract.rows import age, run_row, set_run
from tests.contract.stories import ALICE, BOB, claimed, finished, in_pass, parked, queued, step, token


def test_claim_takes_a_queued_run(journal: Journal) -> None:
    """The run belongs to the claimant, and its epoch has grown."""
    run_id = queued(journal, reference_id="r", queue="q", priority=3, request="{}")
    taken = journal.claims.claim(run_id, ALICE, token())
    assert taken is not None
    claim, record = taken
    row = run_row(journal, run_id)
    assert ("running", 1, ALICE.worker_id, ALICE.pid, None) == (
        row.status,
        row.epoch,
        row.owner,
        row.owner_pid,
        row.due_at,
    )
    assert (run_id, "greet", "1.0.0", 1, 1, "r", "q", 3, "{}", row.created_at, []) == (
        claim.run_id,
        claim.workflow,
        claim.version,
        claim.epoch,
        claim.attempt,
        claim.reference_id,
        claim.queue,
        claim.priority,
        claim.request,
        claim.created_at,
        record,
    )


def test_claim_reads_the_record_in_order(journal: Journal) -> None:
    """Whoever takes a run over gets what was recorded, as it was, but for the inputs, which no replay needs."""
    claim, writing = in_pass(journal)
    steps = [step(number, value=f"{number}") for number in range(1, 12)]
    for record in steps:
        writing.append(record)
    writing.hand_over("drain")
    writing.close()
    taken = journal.claims.claim(claim.run_id, BOB, token())
    assert taken is not None
    assert [(s.seq, s.kind, s.address, s.status, s.value, s.finished_at) for s in steps] == [
        (s.seq, s.kind, s.address, s.status, s.value, s.finished_at) for s in taken[1]
    ]


def test_claim_of_a_held_run_is_refused(journal: Journal) -> None:
    """A second message about a run that is held finds nothing to take."""
    claim = claimed(journal)
    assert (None, ALICE.worker_id, 1) == (
        journal.claims.claim(claim.run_id, BOB, token()),
        run_row(journal, claim.run_id).owner,
        run_row(journal, claim.run_id).epoch,
    )


def test_claim_of_an_unknown_run_is_refused(journal: Journal) -> None:
    """A message about a run the journal does not have finds nothing to take."""
    assert journal.claims.claim("no-such-run", ALICE, token()) is None


@pytest.mark.parametrize("status", list(RunStatus))
def test_claim_obeys_the_transition_table(journal: Journal, status: RunStatus) -> None:
    """A due run can be taken exactly from the states the table allows."""
    run_id = queued(journal)
    set_run(journal, run_id, status=status.value)
    age(journal, run_id, 3600)
    taken = journal.claims.claim(run_id, ALICE, token())
    assert (status in sources_of(RunStatus.RUNNING)) == (taken is not None)


@pytest.mark.parametrize("status", sorted(TIMED))
def test_claim_before_the_time_is_refused(journal: Journal, status: RunStatus) -> None:
    """A run that waits for a time is not taken before it, whoever sends a message."""
    run_id = queued(journal, delay=3600.0)
    set_run(journal, run_id, status=status.value)
    assert journal.claims.claim(run_id, ALICE, token()) is None


def test_claim_of_a_due_sleeper_is_granted(journal: Journal) -> None:
    """A message that comes before the sweep finds a due run."""
    assert journal.claims.claim(parked(journal, due_in=-1), ALICE, token()) is not None


@pytest.mark.parametrize("status", [RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED])
def test_claim_of_a_finished_run_is_refused(journal: Journal, status: RunStatus) -> None:
    """What is over is not run again."""
    assert journal.claims.claim(finished(journal, status), ALICE, token()) is None


def test_claim_by_many_at_once_is_granted_to_one(journal: Journal) -> None:
    """Of sixteen workers that got the same message, one gets the run, and the epoch grows once."""
    run_id = queued(journal)
    owners = [Owner(f"worker-{number}", number) for number in range(16)]
    with ThreadPoolExecutor(16) as pool:
        taken = list(pool.map(lambda owner: journal.claims.claim(run_id, owner, token()), owners))
    winners = [claim[0].epoch for claim in taken if claim is not None]
    assert ([1], 1) == (winners, run_row(journal, run_id).epoch)


def test_claim_epoch_grows_with_every_claim(journal: Journal) -> None:
    """No epoch is given out twice."""
    run_id = queued(journal)
    epochs = []
    for owner in (ALICE, BOB, ALICE):
        claim, writing = in_pass(journal, run_id, owner)
        epochs.append(claim.epoch)
        writing.hand_over("drain")
        writing.close()
    assert [1, 2, 3] == epochs


def test_claim_tells_the_databases_instant(journal: Journal) -> None:
    """The pass' clock starts at the instant of the claim."""
    claim = claimed(journal)
    assert 0 <= claim.now - claim.created_at < 60_000_000


def test_connections_read_what_is_committed_in_utc(journal: Journal) -> None:
    """On MariaDB, every connection, also one used before, is free of gap locks and of daylight saving."""
    if journal.connections.dialect != "mysql":
        pytest.skip("a matter of MariaDB and MySQL alone")
    seen = set()
    for connect in (journal.connections.autocommit, journal.connections.transaction) * 2:
        with connect() as connection:
            seen.add(tuple(connection.exec_driver_sql("SELECT @@tx_isolation, @@session.time_zone").one()))
    assert {("READ-COMMITTED", "+00:00")} == seen
