"""Reading runs."""

from __future__ import annotations

import pytest

from aiki_celery.errors import RunError, RunNotFound
from aiki_celery.journal.journal import Journal
from aiki_celery.model.status import RunKind, RunStatus, StepKind, StepStatus
from tests.contract.families import end, launched, run_through, taken
from tests.contract.rows import age
from tests.contract.stories import ALICE, claimed, finished, in_pass, parked, queued, step


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


def test_find_tells_workflows_from_what_they_have_started(journal: Journal) -> None:
    """By kind, and by who started it; a started run knows its parent."""
    parent, other = launched(journal, 2), queued(journal)
    find, children = journal.views.find, set(parent.children.values())
    assert ({parent.id, other}, children, children, [parent.id] * 2, 4) == (
        {run.id for run in find(kinds=[RunKind.WORKFLOW])},
        {run.id for run in find(kinds=[RunKind.STEP])},
        {run.id for run in find(parent_id=parent.id)},
        [run.parent_id for run in find(parent_id=parent.id)],
        len(find()),
    )


def test_steps_tell_what_became_of_starts(journal: Journal) -> None:
    """A start is recorded once; its outcome comes from the run that it made."""
    parent = launched(journal, 3)
    run_through(journal, parent.children[1])
    end(journal, taken(journal, parent.children[2]), RunStatus.CANCELLED)
    steps = journal.views.steps(parent.id)
    assert [("1", StepStatus.COMPLETED), (None, StepStatus.CANCELLED), (None, StepStatus.STARTED)] == [
        (found.value, found.status) for found in steps
    ]


def test_started_tells_how_often_each_was_tried(journal: Journal) -> None:
    """The attempt a step is at counts; while it waits for its next one, that does not."""
    parent = launched(journal, 3)
    waits, goes_on = (in_pass(journal, parent.children[place]) for place in (1, 2))
    for (claim, writing), parks in ((waits, True), (goes_on, False)):
        note = step(1, kind=StepKind.ATTEMPT, status=StepStatus.FAILED, value="{}", epoch=claim.epoch)
        if parks:
            writing.park(RunStatus.AWAITING_RETRY, (note,), due_at=claim.now, why="failed", attempt=1)
        else:
            writing.append(note)
        writing.close()
    started = journal.views.started(parent.id)
    assert [(RunStatus.AWAITING_RETRY, 1), (RunStatus.RUNNING, 2), (RunStatus.QUEUED, 1)] == [
        (started[run_id].run.status, started[run_id].attempts) for run_id in parent.children.values()
    ]


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
