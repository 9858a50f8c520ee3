"""What a saga can rely on while it undoes: whatever was started is ended first, and there is room for all of it."""

from __future__ import annotations

import pytest

from aiki_celery import WorkflowRun, task, workflow
from aiki_celery.journal.journal import Journal
from tests.contract.families import children_of
from tests.contract.house import House
from tests.contract.sagas import book, cancel, ended, error_of, forget, told


@pytest.fixture(autouse=True)
def _all_is_new() -> None:
    forget()


@workflow(name="saga-side-job")
def side_job(run: WorkflowRun, name: str) -> str:
    return book.run(run, name)


@workflow(name="saga-raises-at-once")
def raises_at_once(run: WorkflowRun) -> None:
    with run.saga() as saga:
        saga.add(cancel, book.run(run, "hotel"))
        for name in ("flight", "car"):
            side_job.start(run, name)
        raise LookupError("no seat")


@workflow(name="saga-long-trip")
def long_trip(run: WorkflowRun) -> None:
    with run.saga() as saga:
        for name in ("hotel", "flight", "car", "museum"):
            saga.add(cancel, book.run(run, name))


class Unspeakable(Exception):
    """Has no text."""

    def __str__(self) -> str:
        raise LookupError("no words")


@task(name="saga-fail-without-words", raises=[Unspeakable])
def fail_without_words(name: str) -> None:
    raise Unspeakable(name)


@workflow(name="saga-without-words")
def without_words(run: WorkflowRun) -> None:
    with run.saga() as saga:
        saga.add(cancel, book.run(run, "hotel"))
        saga.add(fail_without_words, "flight")
        raise Unspeakable("trip")


def test_compensation_whose_error_has_no_text_keeps_no_other_from_running(journal: Journal) -> None:
    """What is told of it is that its text could not be made."""
    house = House(journal, inline_wait=0.0)
    run_id = house.enqueue(without_words)
    assert ("failed", ["hotel", "-hotel"]) == (ended(house, run_id), told())
    assert "CompensationFailed" in error_of(journal, run_id)
    assert "the message of Unspeakable could not be made" in error_of(journal, run_id)


def test_children_that_are_not_written_yet_are_cancelled_too(journal: Journal) -> None:
    """The block raises before anything has written its starts: none of them does anything."""
    house = House(journal, inline_wait=0.0)
    run_id = house.enqueue(raises_at_once)
    assert ("failed", ["hotel", "-hotel"]) == (ended(house, run_id), told())
    assert ["cancelled"] * 2 == [child.status for child in children_of(journal, run_id)]


def test_there_is_room_for_undoing_at_the_limit_of_steps(journal: Journal) -> None:
    """The step that is one too many fails the block; all before it is undone, and the error is the limit's own."""
    house = House(journal, inline_wait=0.0, max_steps=3)
    run_id = house.enqueue(long_trip)
    assert "failed" == ended(house, run_id)
    assert ["hotel", "flight", "car", "-car", "-flight", "-hotel"] == told()
    assert '"type":"StepLimitExceeded"' in error_of(journal, run_id)
    assert "CompensationFailed" not in error_of(journal, run_id)
