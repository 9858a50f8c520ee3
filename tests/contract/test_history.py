"""A run's history: every state it entered, when and why, in order."""

from __future__ import annotations

import pytest

from aiki_celery.errors import RunNotFound
from aiki_celery.journal.history import PAGE
from aiki_celery.journal.journal import Journal
from aiki_celery.model.status import RunStatus
from tests.contract.rows import count, run_row
from tests.contract.stories import ALICE, DEFINITION, in_pass, parked, queued

WAITS = 60


def test_history_tells_a_whole_life(journal: Journal) -> None:
    """Each move has a line, with the database's instant and the reason."""
    run_id = parked(journal, due_in=-1)
    journal.timers.queue_due([DEFINITION], 1)
    _, writing = in_pass(journal, run_id)
    writing.finish(RunStatus.FAILED, error="{}", why="ValueError: tab\there\nand 100% :x", told=True)
    writing.close()
    history = journal.views.history(run_id)
    claimed = f"claimed by {ALICE.worker_id}, process {ALICE.pid}"
    assert [
        (RunStatus.QUEUED, "enqueued"),
        (RunStatus.RUNNING, claimed),
        (RunStatus.SLEEPING, "waits"),
        (RunStatus.QUEUED, "its time has come"),
        (RunStatus.RUNNING, claimed),
        (RunStatus.FAILED, "ValueError: tab here and 100% :x"),
    ] == [(line.status, line.reason) for line in history]
    instants = [line.at for line in history]
    assert sorted(instants) == instants


def test_history_of_an_unknown_run_says_so(journal: Journal) -> None:
    """The error names the run."""
    with pytest.raises(RunNotFound, match="'nope'"):
        journal.views.history("nope")


def test_history_of_many_waits_is_paged_and_whole(journal: Journal) -> None:
    """A run that waits again and again rewrites a bounded row, and loses no line."""
    run_id, longest, reasons = queued(journal), 0, []
    for number in range(WAITS):
        claim, writing = in_pass(journal, run_id)
        reasons.append(f"wait {number} " + "x" * 400)
        writing.park(RunStatus.SLEEPING, (), due_at=claim.now - 1, why=reasons[-1], attempt=1)
        writing.close()
        longest = max(longest, len(run_row(journal, run_id).history))
        journal.timers.queue_due([DEFINITION], 1)
    history = journal.views.history(run_id)
    assert reasons == [line.reason for line in history if line.status is RunStatus.SLEEPING]
    assert (True, True) == (count(journal, "history_pages") >= 2, longest < PAGE + 2_000)
