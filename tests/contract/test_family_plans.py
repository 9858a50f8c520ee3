"""What families are asked for is found through indexes, among many families that nobody asks for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from aiki_celery.journal.journal import Journal
from aiki_celery.model.status import RunStatus
from tests.contract.counting import counting
from tests.contract.families import TASK, end, wait_for
from tests.contract.plans import explain, rows_read
from tests.contract.rows import analyze, insert_rows, set_run, wipe
from tests.contract.stories import ALICE, BOB, claimed, token
from tests.contract.test_plans import FAR, run_of

#: Families, and what each has started: so many are over, under way and held back.
FAMILIES, OVER, UNDER_WAY, HELD = 400, 18, 2, 4

CHILDREN = OVER + UNDER_WAY + HELD

#: Nothing has a reason to read more rows than those of one family, with their records and both indexes.
MOST_ROWS = 6 * CHILDREN

#: One that takes steps whose attempts have expired.
EXPIRED = 5


def family_of(number: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The rows of a run that waits, with its steps, and of its record."""
    parent = f"parent-{number:04}"
    runs = [
        run_of(number, RunStatus.AWAITING_STEPS, children=CHILDREN, await_first=1, await_last=CHILDREN)
        | {"id": parent, "await_count": CHILDREN - OVER}
    ]
    steps = []
    for place in range(1, CHILDREN + 1):
        over, held = place <= OVER, place > OVER + UNDER_WAY
        status = RunStatus.COMPLETED if over else RunStatus.SCHEDULED if held else RunStatus.RUNNING
        facts = {
            "id": f"{parent}.{place}",
            "workflow": TASK,
            "version": "",
            "definition": TASK,
            "kind": "step",
            "parent_id": parent,
            "parent_seq": place,
            "lane": 1,
            "output": "1" if over else None,
            "finished_at": 1 if over else None,
            "due_at": None if over or held else number if number < EXPIRED else FAR,
            "owner": None if over or held else ALICE.worker_id,
            "owner_pid": None if over or held else ALICE.pid,
        }
        runs.append(run_of(place, status) | facts)
        steps.append(
            {
                "run_id": parent,
                "seq": place,
                "kind": "launch",
                "name": TASK,
                "address": f"{TASK}:{place}",
                "status": "started",
                "attempt": 1,
                "epoch": 1,
                "started_at": 1,
                "finished_at": 1,
                "child_id": f"{parent}.{place}",
            }
        )
    return runs, steps


@pytest.fixture(scope="module")
def crowded(shared_journal: Journal) -> Journal:
    """A journal with many families."""
    wipe(shared_journal)
    rows: dict[str, list[dict[str, Any]]] = {"runs": [], "steps": []}
    for number in range(FAMILIES):
        runs, steps = family_of(number)
        keys = {key for row in runs for key in row}
        absent = dict.fromkeys(keys) | {"kind": "workflow", "children": 0}
        rows["runs"] += [absent | row for row in runs]
        rows["steps"] += steps
    for table, written in rows.items():
        for begin in range(0, len(written), 1000):
            insert_rows(shared_journal, table, written[begin : begin + 1000])
    shared_journal.workers.beat(ALICE.worker_id, "host", 1, None)
    analyze(shared_journal)
    return shared_journal


def end_one(journal: Journal) -> None:
    """Ends a step of one family, which releases the next in its lane."""
    step_id = f"parent-0020.{OVER + 1}"
    set_run(journal, step_id, status="queued", due_at=None)
    assert [f"parent-0020.{OVER + UNDER_WAY + 1}"] == end(journal, claimed(journal, step_id, BOB))


def load(journal: Journal) -> None:
    """Reads the record of one family's parent, with what became of its starts."""
    set_run(journal, "parent-0021", status="queued")
    held = journal.claims.claim("parent-0021", ALICE, token())
    assert held is not None
    assert (CHILDREN, OVER) == (len(held[1]), sum(record.value == "1" for record in held[1]))


def park(journal: Journal) -> None:
    """Waits for what one family's parent has started."""
    set_run(journal, "parent-0022", status="queued")
    assert wait_for(journal, claimed(journal, "parent-0022"), set(range(1, CHILDREN + 1)))


def look(journal: Journal) -> None:
    """Reads the outcomes of what one family's parent has started."""
    assert OVER == len(journal.outcomes.of_places("parent-0023", 1, CHILDREN))


def expire(journal: Journal) -> None:
    """Finds the steps whose attempts have taken too long."""
    assert EXPIRED * UNDER_WAY == len(journal.timers.expired([TASK], 100))


LOOKS: dict[str, tuple[tuple[str, ...], str, Callable[[Journal], None]]] = {
    "expired attempts": (("due",), "ORDER BY", expire),
    "the next in a lane": (("family",), "lane =", end_one),
    "a record with what became of its starts": (("pk", "steps_pk"), "JOIN", load),
    "what is over, when parking": (("pk", "steps_pk"), "JOIN", park),
    "outcomes": (("pk", "steps_pk"), "JOIN", look),
}


@pytest.mark.parametrize(("indexes", "part", "ask"), LOOKS.values(), ids=LOOKS)
def test_look_within_a_family_uses_indexes(
    crowded: Journal, indexes: tuple[str, ...], part: str, ask: Callable[[Journal], None]
) -> None:
    """The plan names them, and no more is read than one family has."""
    with counting(crowded) as counted:
        ask(crowded)
    *_, number = [n for n, text in enumerate(counted.statements) if part in text and "SELECT" in text[:6]]
    plan = explain(crowded, counted, number)
    for index in indexes:
        assert _is_named(crowded, index, plan), plan
    assert rows_read(crowded, plan) <= MOST_ROWS, plan
    assert not any(f"SCAN {table.name}" in plan for table in crowded.schema.metadata.sorted_tables), plan


def test_recovery_reads_what_the_dead_worker_held(crowded: Journal) -> None:
    """Steps under way are found by their owner, and those that are over or held back are not looked at."""
    with counting(crowded) as counted:
        crowded.recovery.free_process(ALICE.worker_id, ALICE.pid + 1)
    plan = explain(crowded, counted)
    assert _is_named(crowded, "owner", plan), plan
    assert rows_read(crowded, plan) <= 2 * FAMILIES * UNDER_WAY, plan


def _is_named(journal: Journal, index: str, plan: str) -> bool:
    """Whether a plan uses an index; those of primary keys have names of the database's own."""
    if not index.endswith("pk"):
        return f"{journal.schema.runs.name}_{index}" in plan
    if journal.connections.dialect == "sqlite":
        return "PRIMARY KEY" in plan if index == "steps_pk" else "sqlite_autoindex_aiki_runs_1" in plan
    name = f"{journal.schema.prefix}{index if index == 'steps_pk' else 'runs_pk'}"
    return (name if journal.connections.dialect == "postgresql" else '"key": "PRIMARY"') in plan
