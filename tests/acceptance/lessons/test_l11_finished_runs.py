"""L11: an event that is sent to a run that is over is refused, by run and state, and is not silently lost."""

from __future__ import annotations

import pytest
from sqlalchemy import create_engine, text

from aiki_celery import RunFinished, WorkflowFailed
from tests.acceptance.conftest import Lab
from tests.acceptance.events.definitions import approved, purchase
from tests.acceptance.events.test_events import ANN
from tests.acceptance.lessons.definitions import give_up


def test_send_to_a_run_that_is_over_is_refused(embedded_lab: Lab) -> None:
    """Completed, failed or cancelled; a row written past the guard would be read by nobody."""
    completed, failed = purchase.apply((0.0,)).id, give_up.apply((0.0,)).id
    cancelled = purchase.options(delay=60).enqueue(None).id
    engine = create_engine(embedded_lab.journal)
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE aiki_runs SET status = 'cancelled', due_at = NULL WHERE id = :run"),
            {"run": cancelled},
        )

    for run_id, status in ((completed, "completed"), (failed, "failed"), (cancelled, "cancelled")):
        with pytest.raises(RunFinished) as refused:
            purchase.handle(run_id).send(approved, ANN)
        assert (run_id, status) == (refused.value.run_id, refused.value.status)
        assert f"Run {run_id} is over: it is {status}." == str(refused.value)

    # What would have happened: the row is taken without a word, and stays.
    with engine.begin() as connection:
        assert 0 == connection.execute(text("SELECT count(*) FROM aiki_events")).scalar()
        connection.execute(
            text(
                "INSERT INTO aiki_events (run_id, number, name, payload, sent_at) "
                "VALUES (:run, 1, 'approved', '{}', 1)"
            ),
            {"run": completed},
        )
        assert 1 == connection.execute(text("SELECT count(*) FROM aiki_events")).scalar()
    engine.dispose()
    assert "nobody decided" == purchase.handle(completed).get(timeout=0)
    with pytest.raises(WorkflowFailed):
        give_up.handle(failed).get(timeout=0)
