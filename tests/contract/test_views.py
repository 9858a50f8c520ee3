"""Reading runs."""

from __future__ import annotations

import pytest

from aiki_celery.errors import RunError, RunNotFound
from aiki_celery.journal.journal import Journal
from aiki_celery.model.status import RunStatus
from tests.contract.rows import age
from tests.contract.stories import ALICE, claimed, finished, parked, queued


def test_get_gives_the_run(journal: Journal) -> None:
    """A run is seen as it is."""
    claim = claimed(journal, queued(journal, reference_id="r", queue="q"))
    view = journal.views.get(claim.run_id)
    assert (claim.run_id, "greet", "r", RunStatus.RUNNING, 1, ALICE.worker_id, "q", claim.created_at) == (
        view.id,
        view.workflow,
        view.reference_id,
        view.status,
        view.epoch,
        view.owner,
        view.queue,
        view.created_at,
    )


def test_get_of_an_unknown_run_says_so(journal: Journal) -> None:
    """The error names the run."""
    with pytest.raises(RunNotFound, match="'nope'"):
        journal.views.get("nope")


def test_status_of_an_unknown_run_is_none(journal: Journal) -> None:
    """Where a run is merely looked for, its absence is an answer."""
    run_id = queued(journal)
    assert [RunStatus.QUEUED, None] == [journal.views.status(run_id), journal.views.status("nope")]


def test_find_gives_the_newest_first(journal: Journal) -> None:
    """The last started comes first, and no more than asked for come at all."""
    runs = [queued(journal) for _ in range(3)]
    for seconds, run_id in zip((20, 40, 30), runs, strict=True):
        age(journal, run_id, seconds)
    assert [runs[0], runs[2]] == [run.id for run in journal.views.find(limit=2)]


def test_find_filters(journal: Journal) -> None:
    """By state, workflow and reference id, alone and together."""
    sleeper, done, other = (
        parked(journal, reference_id="r"),
        finished(journal),
        queued(journal, workflow="other"),
    )
    find = journal.views.find
    assert ([sleeper], {sleeper, done}, [other], [sleeper], []) == (
        [run.id for run in find(statuses=[RunStatus.SLEEPING])],
        {run.id for run in find(workflow="greet")},
        [run.id for run in find(workflow="other")],
        [run.id for run in find(reference_id="r")],
        find(workflow="other", statuses=[RunStatus.COMPLETED]),
    )


def test_requeue_queues_a_stalled_run_again(journal: Journal) -> None:
    """A stalled run goes on by hand, and its message is sent by the next sweep."""
    run_id = finished(journal, RunStatus.STALLED)
    journal.views.requeue(run_id)
    view = journal.views.get(run_id)
    assert (RunStatus.QUEUED, None, None, (True, False)) == (
        view.status,
        view.reason,
        view.error,
        journal.deliveries.has_overdue(),
    )


@pytest.mark.parametrize("status", [RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED])
def test_requeue_of_another_run_is_refused(journal: Journal, status: RunStatus) -> None:
    """Only stalled runs are requeued; the refusal names run and state."""
    run_id = finished(journal, status)
    with pytest.raises(RunError, match=f"{run_id} is {status}"):
        journal.views.requeue(run_id)


def test_requeue_of_an_unknown_run_says_so(journal: Journal) -> None:
    """The error names the run."""
    with pytest.raises(RunNotFound, match="'nope'"):
        journal.views.requeue("nope")
