"""Events, cancels and pauses of runs that continue as new, and of forks."""

from __future__ import annotations

import pytest

from aiki_celery import RunCancelled, RunError, WorkflowRun, event, task, workflow
from aiki_celery.journal.journal import Journal
from aiki_celery.model.events import RunRenewing
from aiki_celery.model.status import RunStatus
from tests.contract.forks import forked
from tests.contract.house import House
from tests.contract.rows import count, run_row

ping = event("long-ping", str)
other = event("long-other", str)
cleaned: list[str] = []


@pytest.fixture
def house(journal: Journal) -> House:
    cleaned.clear()
    return House(journal)


@task(name="long-clean")
def clean(what: str) -> str:
    cleaned.append(what)
    return what


@workflow(name="long-listener")
def listener(run: WorkflowRun, heard: list[str]) -> list[str]:
    """Hears one ping a generation, and of the third also what else has come."""
    heard = [*heard, run.wait_for(ping)]
    if len(heard) < 3:
        run.continue_as_new(heard)
    return [*heard, run.wait_for(other)]


@workflow(name="long-chooser")
def chooser(run: WorkflowRun, heard: list[str]) -> list[str]:
    """Hears one of two events a generation, whichever comes first."""
    won = run.first(run.expect(ping), run.expect(other))
    heard = [*heard, won.name.removeprefix("long-")]
    if len(heard) < 3:
        run.continue_as_new(heard)
    return heard


@workflow(name="long-cleaner")
def cleaner(run: WorkflowRun, number: int) -> str:
    try:
        clean.run(run, f"work {number}")
        run.continue_as_new(number + 1)
    except RunCancelled:
        clean.run(run, "clean-up")
        with pytest.raises(RunError, match="is being cancelled"):
            run.continue_as_new(number + 1)
        raise


@workflow(name="long-replier")
def replier(run: WorkflowRun) -> list[str]:
    first = run.wait_for(ping)
    clean.run(run, "between")
    return [first, run.wait_for(ping)]


def send(house: House, run_id: str, name: str, *texts: str) -> None:
    """Sends pings to a run, and takes the message if one wakes it."""
    for text in texts:
        woken = house.journal.inbox.send(run_id, name, f'"{text}"', f"id of {text}").woken
        if woken is not None:
            house.publish([woken])


def test_events_that_were_not_consumed_stay_in_order(house: House) -> None:
    """Those that were are deleted; of each name the first that is left comes next."""
    journal = house.journal
    run_id = house.enqueue(listener, [])
    send(house, run_id, "long-other", "o")
    send(house, run_id, "long-ping", "a", "b")
    house.take(run_id)
    assert (1, 2) == (run_row(journal, run_id).generation, count(journal, "events"))
    house.drain()
    assert RunStatus.AWAITING_EVENT == run_row(journal, run_id).status
    send(house, run_id, "long-ping", "c", "d")
    house.drain()
    row = run_row(journal, run_id)
    assert (RunStatus.COMPLETED, '["a","b","c","o"]', 2) == (row.status, row.output, row.generation)


def test_event_that_the_code_was_not_told_of_stays(house: House) -> None:
    """It answers an expectation that the code has not looked at again, so the next generation has it."""
    run_id = house.enqueue(chooser, [])
    house.take(run_id)
    send(house, run_id, "long-other", "1")
    send(house, run_id, "long-ping", "2", "3")
    house.drain()
    row = run_row(house.journal, run_id)
    assert (RunStatus.COMPLETED, '["other","ping","ping"]') == (row.status, row.output)
    assert 1 == count(house.journal, "events")


def test_fork_has_the_events_that_its_record_has_consumed(house: House) -> None:
    """And no others: those are the other run's."""
    journal = house.journal
    run_id = house.enqueue(replier)
    send(house, run_id, "long-ping", "a", "b")
    house.drain()
    assert '["a","b"]' == run_row(journal, run_id).output

    copy = forked(house, run_id, "long-clean")
    house.drain()
    assert RunStatus.AWAITING_EVENT == run_row(journal, copy).status
    send(house, copy, "long-ping", "of its own")
    house.drain()
    assert '["a","of its own"]' == run_row(journal, copy).output


def test_cancel_is_heard_where_the_run_would_continue_as_new(house: House) -> None:
    """In that very moment; the clean-up cannot begin anew."""
    run_id = house.enqueue(cleaner, 1)
    asked = []

    def cancel(renewing: RunRenewing) -> None:
        if renewing.generation == 2 and not asked:
            asked.append(house.journal.control.cancel(run_id, "enough"))

    house.hooks.on(RunRenewing, cancel)
    house.drain()
    row = run_row(house.journal, run_id)
    assert (RunStatus.CANCELLED, 1, "enough") == (row.status, row.generation, row.reason)
    assert ["work 1", "work 2", "clean-up"] == cleaned


def test_run_paused_where_it_would_continue_as_new_does_so_later(house: House) -> None:
    """What the generation has recorded is replayed first."""
    journal = house.journal
    run_id = house.enqueue(listener, [])
    send(house, run_id, "long-ping", "a")
    off = house.hooks.on(RunRenewing, lambda _: journal.control_moves.pause(run_id))
    house.take(run_id)
    off()
    assert (RunStatus.PAUSED, 0) == ((row := run_row(journal, run_id)).status, row.generation)
    house.publish(journal.control_moves.resume(run_id).envelopes)
    house.take(run_id)
    assert 1 == run_row(journal, run_id).generation


def test_fork_of_a_cancelled_run_goes_on_where_it_was_cancelled(house: House) -> None:
    """Its clean-up is not a part of the fork, and cannot be."""
    run_id = house.enqueue(replier)
    send(house, run_id, "long-ping", "a")
    house.drain()
    for envelope in house.journal.control.cancel(run_id, "by mistake").envelopes:
        house.publish([envelope])
    house.drain()
    assert RunStatus.CANCELLED == run_row(house.journal, run_id).status

    copy = forked(house, run_id)
    house.drain()
    send(house, copy, "long-ping", "b")
    house.drain()
    assert '["a","b"]' == run_row(house.journal, copy).output
