"""The judge of families finds what is wrong with one, and nothing with a sound one."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import delete

from aiki_celery.journal.journal import Journal
from tests.contract.families import Parent, run_through, waiting
from tests.contract.rows import set_run
from tests.harness.invariants import check_families

#: It reads by plain SQL; which database answers makes no difference.
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True, scope="module")

Harm = Callable[[Journal, Parent], None]


def lose_a_child(journal: Journal, parent: Parent) -> None:
    runs = journal.schema.runs
    with journal.connections.transaction() as connection:
        connection.execute(delete(runs).where(runs.c.id == parent.children[2]))


def lose_a_record(journal: Journal, parent: Parent) -> None:
    steps = journal.schema.steps
    with journal.connections.transaction() as connection:
        connection.execute(delete(steps).where(steps.c.run_id == parent.id, steps.c.seq == 2))


def let_all_under_way_end(journal: Journal, parent: Parent) -> None:
    for place in (1, 2, 3):
        set_run(journal, parent.children[place], status="completed", finished_at=1)
    set_run(journal, parent.id, await_count=1)


HARMS: dict[str, tuple[str, Harm]] = {
    "a lost wake-up": ("I16", lambda journal, parent: set_run(journal, parent.id, await_count=4)),
    "a count below one": ("I16", lambda journal, parent: set_run(journal, parent.id, await_count=0)),
    "a lane that stands still": ("I16: .* are held back, and none is under way", let_all_under_way_end),
    "a child that is gone": ("I17: .* has no run", lose_a_child),
    "a child of nobody": ("I17: .* which has no record of it", lose_a_record),
    "a child twice": ("I17", lambda journal, parent: set_run(journal, parent.children[2], parent_seq=3)),
    "a wrong number": ("I17", lambda journal, parent: set_run(journal, parent.id, children=3)),
    "a child held for ever": (
        "I17: .* is held back for ever",
        lambda journal, parent: set_run(journal, parent.id, status="completed"),
    ),
}


def family(journal: Journal) -> Parent:
    """Four, three at once, one of which is over: three are waited for."""
    parent = waiting(journal, 5, lane=1, at_once=3)
    assert [parent.children[4]] == run_through(journal, parent.children[1])
    set_run(journal, parent.children[4], status="scheduled", due_at=None)
    set_run(journal, parent.children[5], status="completed", finished_at=1)
    set_run(journal, parent.id, await_count=3)
    return parent


def test_sound_family_passes(journal: Journal) -> None:
    """Nothing is wrong with one that waits, some of it over, some under way, some held back."""
    family(journal)
    check_families(journal.connections.engine)


@pytest.mark.parametrize(("said", "harm"), HARMS.values(), ids=HARMS)
def test_harm_is_noticed(journal: Journal, said: str, harm: Harm) -> None:
    """Each by the name of the invariant it breaks."""
    parent = family(journal)
    harm(journal, parent)
    with pytest.raises(AssertionError, match=said):
        check_families(journal.connections.engine)
