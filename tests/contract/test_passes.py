"""What a pass writes: its records, and how the run was left."""

from __future__ import annotations

import pytest

from aiki_celery.errors import ClaimLost
from aiki_celery.journal.journal import Journal
from aiki_celery.model.status import RunStatus, StepKind, StepStatus
from tests.contract.rows import count, run_row
from tests.contract.stories import ALICE, BOB, claimed, in_pass, step


def test_append_records_every_fact(journal: Journal) -> None:
    """A record comes back as it was written, whatever the characters."""
    claim, writing = in_pass(journal)
    written = step(
        kind=StepKind.ATTEMPT,
        status=StepStatus.FAILED,
        attempt=2,
        due_at=1_700_000_123_456_789,
        value='{"message":"50% :off %(x)s 💥"}',
        address="charge#key ü",
    )
    writing.append(written)
    writing.close()
    assert [written] == journal.views.steps(claim.run_id)


def test_append_of_a_place_taken_by_another_pass_is_refused(journal: Journal) -> None:
    """A record is written once: another one in its place ends the pass, and the first stays."""
    claim, writing = in_pass(journal)
    first = step(1, value='"first"')
    writing.append(first)
    with pytest.raises(ClaimLost):
        writing.append(step(1, value='"second"'))
    writing.close()
    assert [first] == journal.views.steps(claim.run_id)


@pytest.mark.parametrize("status", [RunStatus.SLEEPING, RunStatus.AWAITING_RETRY])
def test_park_leaves_the_run_waiting_and_free(journal: Journal, status: RunStatus) -> None:
    """A run that waits has no owner; its state, time, reason, attempt and records are written together."""
    claim, writing = in_pass(journal)
    note = step(1, kind=StepKind.SLEEP, status=StepStatus.WAITING, value=None, input=None)
    writing.park(status, (note,), due_at=claim.now + 7, why="waits\nfor it", attempt=4)
    writing.close()
    row = run_row(journal, claim.run_id)
    assert (status.value, claim.now + 7, "waits for it", 4, None, None, None) == (
        row.status,
        row.due_at,
        row.reason,
        row.attempt,
        row.owner,
        row.owner_pid,
        row.claim_token,
    )
    assert [note] == journal.views.steps(claim.run_id)


def test_park_with_a_record_in_a_taken_place_changes_nothing(journal: Journal) -> None:
    """State and records are one transaction: when a record cannot be written, the run is not parked either."""
    claim, writing = in_pass(journal)
    first = step(1)
    writing.append(first)
    with pytest.raises(Exception):  # noqa: B017, PT011 - which one is the database's business
        writing.park(RunStatus.SLEEPING, (step(1),), due_at=claim.now, why="waits", attempt=1)
    writing.close()
    assert ("running", [first]) == (
        run_row(journal, claim.run_id).status,
        journal.views.steps(claim.run_id),
    )


def test_hand_over_queues_the_run_for_anybody_at_once(journal: Journal) -> None:
    """A run that is handed over is free, and counts as not published, so that a message is sent for it soon."""
    claim, writing = in_pass(journal)
    writing.hand_over("drain")
    writing.close()
    row = run_row(journal, claim.run_id)
    assert ("queued", None, None, 0) == (row.status, row.owner, row.published_at, row.deliveries)
    assert 2 == claimed(journal, claim.run_id, BOB).epoch


@pytest.mark.parametrize("status", [RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED])
def test_finish_records_the_outcome(journal: Journal, status: RunStatus) -> None:
    """A terminal run has its outcome and its end, and nothing is due any more."""
    claim, writing = in_pass(journal)
    writing.finish(status, output='"out"', error='{"type":"E"}', why="over", told=True)
    writing.close()
    row = run_row(journal, claim.run_id)
    assert (status.value, '"out"', '{"type":"E"}', None, None, None) == (
        row.status,
        row.output,
        row.error,
        row.due_at,
        row.owner,
        row.settlement,
    )
    assert row.finished_at >= row.claimed_at


def test_finish_stalled_is_no_end(journal: Journal) -> None:
    """A stalled run has a reason, and no end."""
    claim, writing = in_pass(journal)
    writing.finish(RunStatus.STALLED, error="{}", why="diverged", told=True)
    writing.close()
    row = run_row(journal, claim.run_id)
    assert ("stalled", "diverged", None, None) == (row.status, row.reason, row.finished_at, row.owner)


def test_finish_untold_stays_with_its_owner_until_that_is_confirmed(journal: Journal) -> None:
    """A finished run whose callbacks are not confirmed is marked, and still owned."""
    claim, writing = in_pass(journal)
    writing.finish(RunStatus.COMPLETED, output="1", why="completed", told=False)
    writing.close()
    row = run_row(journal, claim.run_id)
    assert ("completed", "pending", ALICE.worker_id, ALICE.pid) == (
        row.status,
        row.settlement,
        row.owner,
        row.owner_pid,
    )


def test_pass_of_a_large_value_keeps_it_whole(journal: Journal) -> None:
    """A value of a mebibyte, the default limit, is stored and read back on every database."""
    value = '"' + "ü" * 524_287 + '"'
    claim, writing = in_pass(journal)
    writing.append(step(value=value, input=value))
    writing.close()
    found = journal.views.steps(claim.run_id)[0]
    assert (True, True, 1) == (found.value == value, found.input == value, count(journal, "steps"))
