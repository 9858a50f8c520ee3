"""Texts that some database cannot hold: what is said in them is told all the same, and no run is stuck with them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from aiki_celery import RunCancelled, WorkflowRun, event, task, workflow
from aiki_celery.definitions.current import current_step
from aiki_celery.errors import InputInvalid, TaskFailed
from aiki_celery.journal.journal import Journal
from aiki_celery.model.progress import read_progress
from aiki_celery.model.status import RunStatus
from tests.contract.families import children_of
from tests.contract.house import House
from tests.contract.rows import run_row
from tests.contract.stories import claimed, parked, queued

#: What is said, and how it is kept. A file name that is no UTF-8 has half surrogates in Python.
ODD = {"no file x\udce9": r"no file x\udce9", "bad \0 byte": r"bad \x00 byte"}

every = pytest.mark.parametrize(("said", "kept"), ODD.items(), ids=["surrogate", "nul"])

told = event("odd-told", str)


class Mute(Exception):
    """An error that cannot be said."""

    def __str__(self) -> str:
        raise ValueError("no words")


@pytest.fixture
def house(journal: Journal) -> House:
    """Who does what there is to do."""
    return House(journal)


@task(name="odd-fail")
def fail(place: int) -> None:
    raise ValueError(list(ODD)[place])


@task(name="odd-keyed", input_key=lambda place: list(ODD)[place])
def keyed(place: int) -> None: ...


@task(name="odd-report")
def report(word: str) -> str:
    current_step().heartbeat(word)
    return word


@workflow(name="odd-plain")
def plain(run: WorkflowRun, place: int) -> None:
    raise ValueError(list(ODD)[place])


@workflow(name="odd-mute")
def mute(run: WorkflowRun) -> None:
    raise Mute


@workflow(name="odd-inline")
def inline(run: WorkflowRun, place: int) -> None:
    fail.run(run, place)


@workflow(name="odd-started")
def started(run: WorkflowRun, place: int) -> str:
    try:
        fail.start(run, place).result()
    except TaskFailed as failed:
        return failed.message
    return "not failed"


@workflow(name="odd-key")
def with_key(run: WorkflowRun, place: int) -> None:
    keyed.run(run, place)


@workflow(name="odd-progress")
def progressing(run: WorkflowRun, place: int) -> None:
    run.progress(1, 2, list(ODD)[place])


@workflow(name="odd-clean-up")
def cleaning(run: WorkflowRun, place: int) -> None:
    try:
        run.sleep(3600)
    except RunCancelled:
        raise ValueError(list(ODD)[place]) from None


@workflow(name="odd-values")
def values(run: WorkflowRun, word: str) -> list[str]:
    """Has a word go everywhere that values go."""
    return [report.run(run, word), report.start(run, word).result(), run.wait_for(told)]


@workflow(name="odd-result")
def half_a_result(run: WorkflowRun) -> str:
    return "x\udce9"


@pytest.mark.parametrize("failing", [plain, inline], ids=["workflow", "step"])
@every
def test_run_whose_error_is_odd_fails_at_once(house: House, failing: Any, said: str, kept: str) -> None:
    """The first pass ends it; its error and its history say why."""
    run_id = house.enqueue(failing, list(ODD).index(said))
    outcome = house.take(run_id)
    row = run_row(house.journal, run_id)
    assert outcome is not None
    assert (RunStatus.FAILED, "failed") == (outcome.status, row.status)
    assert kept in row.reason
    assert kept in json.loads(row.error)["message"]
    assert kept in house.journal.views.history(run_id)[-1].reason


@every
def test_started_step_whose_error_is_odd_fails_at_once(house: House, said: str, kept: str) -> None:
    """And the run that has started it hears of it."""
    run_id = house.enqueue(started, list(ODD).index(said))
    house.drain()
    assert ["failed"] == [child.status for child in children_of(house.journal, run_id)]
    assert kept == started.signature.read_result(run_row(house.journal, run_id).output)


def test_run_whose_error_cannot_be_said_fails(house: House) -> None:
    """An error of the user's whose own text raises is an error like any other."""
    run_id = house.enqueue(mute)
    house.take(run_id)
    row = run_row(house.journal, run_id)
    assert ("failed", "Mute: <the message of Mute could not be made>") == (row.status, row.reason)


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("make", [queued, parked], ids=["unbegun", "sleeping"])
@every
def test_cancel_for_an_odd_reason(journal: Journal, make: Any, force: bool, said: str, kept: str) -> None:
    """It is kept as any other."""
    run_id = make(journal)
    assert journal.control.cancel(run_id, said, force=force).is_new
    row = run_row(journal, run_id)
    assert kept == row.cancel_reason
    assert kept in row.history


@every
def test_cancel_of_a_held_run_for_an_odd_reason(journal: Journal, said: str, kept: str) -> None:
    """The pass hears of it."""
    claim = claimed(journal)
    journal.control.cancel(claim.run_id, said)
    noted = journal.obedience.cancel(claim, [], [], [], claim.now)
    assert noted is not None
    assert kept == json.loads(noted.value or "")


@every
def test_clean_up_that_fails_oddly_ends_the_run(house: House, said: str, kept: str) -> None:
    """It is cancelled, and says what came of its clean-up."""
    run_id = house.enqueue(cleaning, list(ODD).index(said))
    house.take(run_id)
    house.journal.control.cancel(run_id, "not needed")
    house.take(run_id)
    row = run_row(house.journal, run_id)
    assert ("cancelled", f"not needed; cleaning up failed: ValueError: {kept}") == (row.status, row.reason)


@every
def test_progress_is_told_oddly(house: House, said: str, kept: str) -> None:
    """It is no reason for the run to fail."""
    run_id = house.enqueue(progressing, list(ODD).index(said))
    house.take(run_id)
    row = run_row(house.journal, run_id)
    progress = read_progress(row.progress_note)
    assert progress is not None
    assert ("completed", kept) == (row.status, progress.message)


@every
def test_key_of_a_step_that_some_database_cannot_hold_is_refused(house: House, said: str, kept: str) -> None:
    """On every database alike."""
    run_id = house.enqueue(with_key, list(ODD).index(said))
    outcome = house.take(run_id)
    assert outcome is not None
    assert isinstance(outcome.exception, InputInvalid)
    assert "failed" == run_row(house.journal, run_id).status


def test_values_may_hold_nul(house: House) -> None:
    """Inputs, results, heartbeats and events are kept as JSON, which has a form for it."""
    word = "a \0 b"
    run_id = house.enqueue(values, word)
    house.take(run_id)
    assert house.sender.send(run_id, values.name, told, word)
    house.drain()
    row = run_row(house.journal, run_id)
    assert ("completed", [word] * 3) == (row.status, values.signature.read_result(row.output))


def test_result_that_is_no_text_fails_the_run(house: House) -> None:
    """Half a surrogate has no JSON form, and the run says so."""
    run_id = house.enqueue(half_a_result)
    house.take(run_id)
    row = run_row(house.journal, run_id)
    assert ("failed", "NotJournalable") == (row.status, row.reason.partition(":")[0])
