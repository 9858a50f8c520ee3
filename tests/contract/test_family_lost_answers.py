"""What starts others, waits for them or ends one may be tried again after its answer was lost, and is done once."""

from __future__ import annotations

import pytest

from aiki_celery.journal.journal import Journal
from aiki_celery.model.status import RunStatus
from tests.contract.failing import lost_answer
from tests.contract.families import (
    WAITS,
    children_of,
    end,
    launched,
    run_through,
    starts,
    states,
    taken,
    wait_for,
    waiting,
    wake_ups,
)
from tests.contract.rows import count, run_row
from tests.contract.stories import BOB, claimed, token


def test_launch_twice_starts_each_once(journal: Journal) -> None:
    """Starts that the first try has written are not written again, nor counted again."""
    claim = claimed(journal)
    records, children = starts(claim, [1, 2, 3])
    with lost_answer(journal):
        journal.launches.launch(claim, records, children)
    assert ([1, 2, 3], 3, 3) == (
        [row.parent_seq for row in children_of(journal, claim.run_id)],
        count(journal, "steps"),
        run_row(journal, claim.run_id).children,
    )


def test_launch_and_wait_twice_is_one_wait(journal: Journal) -> None:
    """A run that the first try has parked with its starts is parked, and waits for each of them once."""
    claim = claimed(journal)
    records, children = starts(claim, [1, 2])
    with lost_answer(journal):
        assert journal.launches.wait(claim, records, children, {1, 2}, 2, WAITS)
    row = run_row(journal, claim.run_id)
    assert ("awaiting_steps", 2, 2, 2, 1) == (
        row.status,
        row.await_count,
        row.children,
        count(journal, "steps"),
        row.history.count("awaiting_steps"),
    )


def test_wait_twice_takes_off_once_what_is_over(journal: Journal) -> None:
    """What had ended before the wait is not taken off again."""
    parent = launched(journal, 3)
    run_through(journal, parent.children[2])
    with lost_answer(journal):
        assert wait_for(journal, parent.claim, {1, 2, 3})
    assert 2 == run_row(journal, parent.id).await_count


@pytest.mark.parametrize("status", [RunStatus.COMPLETED, RunStatus.FAILED])
def test_end_twice_counts_off_once(journal: Journal, status: RunStatus) -> None:
    """A step that the first try has ended is not counted off again: its parent still waits for the other."""
    parent = waiting(journal, 2)
    claim = taken(journal, parent.children[1])
    with lost_answer(journal):
        end(journal, claim, status)
    assert (1, ("awaiting_steps", [status.value, "queued"])) == (
        run_row(journal, parent.id).await_count,
        states(journal, parent),
    )
    assert [parent.id] == run_through(journal, parent.children[2])


def test_last_end_twice_wakes_once(journal: Journal) -> None:
    """The parent is queued by the first try alone."""
    parent = waiting(journal, 1)
    claim = taken(journal, parent.children[1])
    with lost_answer(journal):
        end(journal, claim)
    row = run_row(journal, parent.id)
    assert ("queued", 1, 1, 0) == (
        row.status,
        row.deliveries,
        wake_ups(journal, parent.id),
        row.await_count,
    )


def test_end_in_a_lane_twice_releases_one(journal: Journal) -> None:
    """The second try finds nothing to release: one place got free."""
    parent = waiting(journal, 3, lane=1, at_once=1)
    claim = taken(journal, parent.children[1])
    with lost_answer(journal):
        end(journal, claim)
    assert ("awaiting_steps", ["completed", "queued", "scheduled"]) == states(journal, parent)


def test_heartbeat_twice_reports(journal: Journal) -> None:
    """A report that was written is written."""
    claim = taken(journal, launched(journal, 1).children[1])
    writing = journal.begin_pass(claim)
    with lost_answer(journal):
        writing.report('"half"')
    writing.close()
    assert '"half"' == run_row(journal, claim.run_id).details


def test_take_twice_of_a_started_step_is_granted(journal: Journal) -> None:
    """Who took the step and lost the answer takes it again, with what its call was."""
    parent = launched(journal, 1, call='{"key":"k"}', timeout=5)
    with lost_answer(journal):
        held = journal.claims.claim(parent.children[1], BOB, token())
    assert held is not None
    claim = held[0]
    assert (run_row(journal, claim.run_id).epoch, parent.id, 1, '{"key":"k"}', 5, []) == (
        claim.epoch,
        claim.parent_id,
        claim.parent_seq,
        claim.call,
        claim.timeout,
        held[1],
    )
    assert [] == end(journal, claim)
