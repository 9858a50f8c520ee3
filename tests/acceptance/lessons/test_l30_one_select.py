"""L30: a replay reads the record once, however long it is."""

from __future__ import annotations

from sqlalchemy import event

from aiki_celery import RunStatus, WorkflowRun, workflow
from aiki_celery.engine.ports import Forever
from tests.acceptance.conftest import Lab
from tests.acceptance.lessons.definitions import work


@workflow(name="lesson-replayed")
def replayed(run: WorkflowRun, steps: int) -> int:
    total = sum(work.run(run, number, 0.0) for number in range(steps))
    run.sleep(0.01)
    return total


def statements_of_a_replay(lab: Lab, steps: int) -> list[str]:
    """Runs until the sleep, and gives what the second pass asks the database."""
    binding = lab.aiki.binding
    owner = binding.process.owner()
    handle = replayed.enqueue(steps)
    first = binding.executor.claim(handle.id, owner)
    assert first is not None
    due_at = binding.executor.run(replayed, *first, Forever(), told=True).due_at
    assert due_at is not None
    binding_clock = binding.journal.now
    while binding_clock() < due_at:
        pass
    asked: list[str] = []
    engine = binding.journal.connections.engine

    def note(connection, cursor, statement, *rest):
        asked.append(statement.split()[0].upper())

    event.listen(engine, "before_cursor_execute", note)
    try:
        second = binding.executor.claim(handle.id, owner)
        assert second is not None
        assert steps + 1 == len(second[1])
        assert RunStatus.COMPLETED is binding.executor.run(replayed, *second, Forever(), told=True).status
    finally:
        event.remove(engine, "before_cursor_execute", note)
    assert steps == lab.effects.count("work")
    return asked


def test_replay_costs_one_select(embedded_lab: Lab) -> None:
    """Three hundred recorded steps: the claim, the record, the end of the run; no question per step."""
    asked = statements_of_a_replay(embedded_lab, 300)
    assert 1 == asked.count("SELECT")
    assert ["UPDATE", "SELECT", "UPDATE"] == [verb for verb in asked if verb not in ("PRAGMA", "BEGIN")]
