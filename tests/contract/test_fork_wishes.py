"""What is asked of a fork: a version, whose queue it goes to, and a reference id."""

from __future__ import annotations

import pickle

import pytest

from aiki_celery import InputInvalid, ReferenceConflict, WorkflowRun, workflow
from aiki_celery.engine.fork_plan import Wish
from aiki_celery.engine.forking import fork
from aiki_celery.journal.journal import Journal
from aiki_celery.model.status import RunStatus
from tests.contract.forks import forked
from tests.contract.house import House
from tests.contract.rows import count, run_row, set_run


@workflow(name="fork-wish", queue="older")
def first_version(run: WorkflowRun, amount: str) -> str:
    """Takes any text."""
    return amount


@workflow(name="fork-wish", version="2.0.0", queue="newer")
def second_version(run: WorkflowRun, amount: int) -> int:
    """Takes a number, and has a queue of its own."""
    return amount


@workflow(name="fork-wish", version="3.0.0")
def third_version(run: WorkflowRun, amount: str) -> str:
    """Has no queue of its own."""
    return amount


@pytest.fixture
def house(journal: Journal) -> House:
    return House(journal)


def ended(house: House, amount: str = "7") -> str:
    """A run of the first version that is over, and went to its queue."""
    run_id = house.enqueue(first_version, amount)
    set_run(house.journal, run_id, queue="older")
    house.drain()
    return run_id


def test_version_that_the_input_does_not_fit_is_refused(house: House) -> None:
    """By the name of the argument, before anything is written."""
    run_id = ended(house, "much")
    rows = count(house.journal, "runs"), count(house.journal, "steps"), len(house.sent)
    with pytest.raises(InputInvalid, match=r"fork-wish.*'amount'.*valid integer"):
        forked(house, run_id, version="2.0.0")
    assert rows == (count(house.journal, "runs"), count(house.journal, "steps"), len(house.sent))


@pytest.mark.parametrize(
    ("version", "queue"), [(None, "older"), ("1.0.0", "older"), ("2.0.0", "newer"), ("3.0.0", "older")]
)
def test_fork_goes_to_the_queue_of_the_version_that_was_asked_for(
    house: House, version: str | None, queue: str
) -> None:
    """The message as well as the row; a version that has none leaves it in the origin's."""
    origin = ended(house)
    new = fork(house.journal, origin, Wish(None, version, None))
    row = run_row(house.journal, new.run_id)
    assert (queue, queue, version or "1.0.0") == (new.queue, row.queue, row.version)


def test_taken_reference_id_is_refused_in_words_that_fit_a_fork(house: House) -> None:
    """Its own origin has it, with the same input; the error keeps its words on the way to another process."""
    origin = ended(house)
    set_run(house.journal, origin, reference_id="order-1")
    with pytest.raises(ReferenceConflict) as caught:
        fork(house.journal, origin, Wish(None, None, "order-1"))
    words = f"fork-wish: reference id 'order-1' belongs to run {origin}. Give the fork another one, or none."
    error = caught.value
    assert [words] * 3 == [
        str(error),
        str(ReferenceConflict(*error.args)),
        str(pickle.loads(pickle.dumps(error))),
    ]
    assert RunStatus.COMPLETED == run_row(house.journal, origin).status
