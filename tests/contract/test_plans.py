"""The sweeps find what they look for through their indexes, among many runs that they do not look for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from aiki_celery.journal.journal import Journal
from aiki_celery.model.status import RunStatus
from tests.contract.counting import counting
from tests.contract.plans import explain, rows_read
from tests.contract.rows import analyze, insert_rows, wipe
from tests.contract.stories import ALICE, DEFINITION

#: Runs that wait for a time far away, that are over, that are queued, held by a live worker, and due.
SLEEPING, OVER, QUEUED, HELD, DUE = 20_000, 5_000, 500, 60, 20

#: Queued runs that were published long ago, and that never were.
OVERDUE, UNSENT = 3_000, 5

#: No sweep has a reason to read more rows than this, in tables and indexes together.
MOST_ROWS = 8 * (HELD + DUE)

FAR = 4_102_444_800_000_000


def run_of(number: int, status: RunStatus, **facts: Any) -> dict[str, Any]:
    """A row of the table of runs."""
    every = {
        "due_at": None,
        "owner": None,
        "owner_pid": None,
        "settlement": None,
        "queued_at": 1,
        "published_at": None,
        "id": f"{status}-{number:06}",
        "workflow": "greet",
        "version": "1.0.0",
        "definition": DEFINITION,
        "status": str(status),
        "epoch": 1,
        "attempt": 1,
        "recoveries": 0,
        "progress": 0,
        "origin": "journal",
        "encoding": 1,
        "input_hash": "h",
        "input": "{}",
        "created_at": number,
        "deliveries": 1,
        "history": "",
    }
    return every | facts


@pytest.fixture(scope="module")
def crowded(shared_journal: Journal) -> Journal:
    """A journal as busy as one that has been in use for long."""
    wipe(shared_journal)
    rows = [run_of(number, RunStatus.SLEEPING, due_at=FAR + number) for number in range(SLEEPING)]
    rows += [run_of(number, RunStatus.COMPLETED, finished_at=number) for number in range(OVER)]
    rows += [run_of(number, RunStatus.QUEUED, due_at=FAR, published_at=1) for number in range(QUEUED)]
    rows += [
        run_of(QUEUED + number, RunStatus.QUEUED, due_at=number + 2, published_at=1)
        for number in range(OVERDUE)
    ]
    rows += [
        run_of(QUEUED + OVERDUE + number, RunStatus.QUEUED, due_at=OVERDUE + number)
        for number in range(UNSENT)
    ]
    rows += [
        run_of(number, RunStatus.RUNNING, owner=ALICE.worker_id, owner_pid=ALICE.pid, claimed_at=1)
        for number in range(HELD)
    ]
    rows += [run_of(number, RunStatus.AWAITING_RETRY, due_at=number + 1) for number in range(DUE)]
    for same in range(0, len(rows), 1000):
        for row in rows[same : same + 1000]:
            row.setdefault("finished_at", None)
            row.setdefault("claimed_at", None)
        insert_rows(shared_journal, "runs", rows[same : same + 1000])
    shared_journal.workers.beat(ALICE.worker_id, "host", 1, None)
    analyze(shared_journal)
    return shared_journal


LOOKS: dict[str, tuple[str, Callable[[Journal], Any]]] = {
    "passed deadlines": ("deadline", lambda journal: journal.deadlines.passed(10)),
    "the next timer": ("due", lambda journal: journal.timers.seconds_to_next()),
    "due runs": ("due", lambda journal: journal.timers.queue_due(["nobody@1.0.0"], 100)),
    "overdue messages": ("due", lambda journal: journal.deliveries.has_overdue()),
    "messages never sent": (
        "waiting",
        lambda journal: journal.deliveries.take_unpublished(["nobody@1.0.0"], 100),
    ),
    "runs of dead workers": ("owner", lambda journal: journal.recovery.free_dead_workers(15, 100)),
    "runs of a dead process": ("owner", lambda journal: journal.recovery.free_process(ALICE.worker_id, 0)),
    "the next unsettled run": ("unsettled", lambda journal: journal.settlements.due_in()),
    "unsettled runs": ("unsettled", lambda journal: journal.settlements.take_unattended(100)),
}


@pytest.mark.parametrize(("index", "look"), LOOKS.values(), ids=LOOKS)
def test_look_uses_its_index(crowded: Journal, index: str, look: Callable[[Journal], Any]) -> None:
    """The plan names the index, and few rows are read whatever the number of runs that wait."""
    with counting(crowded) as counted:
        look(crowded)
    plan = explain(crowded, counted)
    assert f"{crowded.schema.runs.name}_{index}" in plan or "Select tables optimized away" in plan, plan
    assert rows_read(crowded, plan) <= MOST_ROWS, plan


def test_look_for_unsent_messages_reads_no_published_ones(crowded: Journal) -> None:
    """Both of its questions are one statement, each has an index, however many are overdue."""
    with counting(crowded) as counted:
        assert (True, True) == crowded.deliveries.has_overdue()
    assert 1 == len(counted.statements)
    plan = explain(crowded, counted)
    assert [True, True] == [f"{crowded.schema.runs.name}_{index}" in plan for index in ("due", "waiting")]
    assert rows_read(crowded, plan) <= UNSENT, plan


def test_look_without_an_index_is_noticed(crowded: Journal) -> None:
    """The judge's own test: a question that no index answers has a plan without one, and reads every run."""
    with counting(crowded) as counted, crowded.connections.autocommit() as connection:
        connection.exec_driver_sql(f"SELECT id FROM {crowded.schema.runs.name} WHERE deliveries = 77").all()
    plan = explain(crowded, counted)
    assert f"{crowded.schema.runs.name}_" not in plan
    assert crowded.connections.dialect == "sqlite" or rows_read(crowded, plan) >= SLEEPING
