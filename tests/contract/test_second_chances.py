"""Failed runs that are queued again by hand."""

from __future__ import annotations

import json

import pytest

from aiki_celery.errors import RunError, RunNotFound
from aiki_celery.journal.journal import Journal
from aiki_celery.model.status import RunStatus, StepKind
from tests.contract.families import launched
from tests.contract.stories import ALICE, BOB, in_pass, queued, step, token


def failed(journal: Journal, **error: object) -> str:
    """A run with two records that has failed."""
    claim, writing = in_pass(journal, queued(journal, queue="q"))
    writing.append(step(1))
    writing.append(step(2))
    writing.finish(RunStatus.FAILED, error=json.dumps({"type": "Boom", **error}), why="Boom", told=True)
    writing.close()
    return claim.run_id


def test_retry_queues_a_failed_run_again(journal: Journal) -> None:
    """With a marker after its record that says what is put aside; as one more attempt."""
    run_id = failed(journal, aside="2")

    message = journal.second_chances.retry(run_id)

    assert message is not None
    assert (run_id, "greet@1.0.0", "q") == (message.run_id, message.definition, message.queue)
    taken = journal.claims.claim(run_id, BOB, token())
    assert taken is not None
    claim, steps = taken
    assert (2, 2, [1, 2, 3]) == (claim.attempt, claim.epoch, [record.seq for record in steps])
    assert (StepKind.RETRY, "2", 1) == (steps[-1].kind, steps[-1].value, steps[-1].attempt)
    view = journal.views.get(run_id)
    assert (None, None, None) == (view.error, view.reason, view.finished_at)


def test_retry_of_an_error_that_names_no_step_puts_nothing_aside(journal: Journal) -> None:
    """The marker names its own place."""
    run_id = failed(journal)
    journal.second_chances.retry(run_id)
    taken = journal.claims.claim(run_id, ALICE, token())
    assert taken is not None
    assert "3" == taken[1][-1].value


def test_retry_of_a_run_that_has_not_failed_is_refused(journal: Journal) -> None:
    """So is a second one, and one of a run that is not there."""
    run_id = failed(journal)
    journal.second_chances.retry(run_id)
    with pytest.raises(RunError, match="is queued; only a failed run can be retried"):
        journal.second_chances.retry(run_id)
    with pytest.raises(RunNotFound):
        journal.second_chances.retry("nope")


def test_retry_of_a_step_is_refused(journal: Journal) -> None:
    """The run that has started it has had its outcome, and is the one to be retried."""
    parent = launched(journal, 1)
    child, writing = in_pass(journal, parent.children[1])
    writing.finish(RunStatus.FAILED, error="{}", why="Boom", told=True)
    writing.close()
    with pytest.raises(RunError, match=f"started by run {parent.id}"):
        journal.second_chances.retry(child.run_id)
