"""Events: what is sent to a run reaches it once, in order, whenever it comes; and what does not come in time."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import pytest

from aiki_celery.definitions.event import event
from aiki_celery.definitions.retry import Retry
from aiki_celery.definitions.task import task
from aiki_celery.definitions.workflow import Workflow, workflow
from aiki_celery.engine.context import WorkflowRun
from aiki_celery.engine.outcome import Outcome
from aiki_celery.errors import (
    EventLimitExceeded,
    EventTimeout,
    InputInvalid,
    NotJournalable,
    PayloadTooLarge,
    RunCancelled,
    RunFinished,
    RunNotFound,
    WrongState,
)
from aiki_celery.journal.inbox.inbox import Inbox
from aiki_celery.journal.journal import Journal
from aiki_celery.model.status import RunStatus, StepKind
from tests.contract.counting import counting
from tests.contract.families import launched
from tests.contract.house import House
from tests.contract.rows import age, count, run_row, set_run


@dataclass
class Approval:
    """What is sent."""

    by: str
    amount: int = 0


approved = event("events-approved", Approval)
note = event("events-note")
other = event("events-other", int)
told: list[Any] = []


@task(name="events-act")
def act(what: str) -> str:
    """Does something."""
    return f"{what} done"


@task(name="events-unlucky")
def unlucky(attempt: int) -> str:
    """Fails the first time."""
    if attempt == 1:
        raise ValueError("the first time")
    return "lucky"


@workflow(name="events-one")
def one(run: WorkflowRun, timeout: float | None) -> str:
    """Waits for one event."""
    act.run(run, "before")
    try:
        return run.wait_for(approved, timeout).by
    except EventTimeout as late:
        return str(late)


@workflow(name="events-many")
def many(run: WorkflowRun, number: int) -> list[Any]:
    """Waits for so many, one after the other."""
    return [run.wait_for(note) for _ in range(number)]


@workflow(name="events-all")
def gathered(run: WorkflowRun) -> list[Any]:
    """Waits for events and steps at once."""
    return run.gather(run.expect(note), act.start(run, "beside"), run.expect(other), run.expect(note))


@workflow(name="events-first")
def first_of(run: WorkflowRun, timeout: float | None) -> str:
    """Takes whichever comes first."""
    futures = [run.expect(note, timeout), run.expect(other)]
    winner = run.first(*futures)
    try:
        return f"{winner.name}: {winner.result()}"
    except EventTimeout:
        return f"{winner.name}: too late"


@workflow(name="events-deadlines")
def deadlines(run: WorkflowRun, timeout: float) -> list[Any]:
    """Two expectations of one name, the first of which may be over before the second."""
    soon, later = run.expect(note, timeout), run.expect(note)
    return [str(answer) for answer in run.gather(soon, later, return_exceptions=True)]


@workflow(name="events-retried", retry=Retry.fixed(3, 0.0))
def retried(run: WorkflowRun) -> list[Any]:
    """The event before the failed step is kept, and so is its order; the one after it is free again."""
    return [run.wait_for(note), unlucky.run(run, run.attempt), run.wait_for(note)]


@workflow(name="events-left")
def left(run: WorkflowRun, timeout: float) -> Any:
    """Leaves an expectation, and waits for the next one of its name."""
    run.expect(note, timeout)
    return run.wait_for(note)


@workflow(name="events-cleaned-up")
def cleaned_up(run: WorkflowRun) -> None:
    """Waits for the same event when it cleans up."""
    try:
        told.append(run.wait_for(note))
    except RunCancelled:
        told.clear()
        told.append(run.wait_for(note))
        run.sleep(0.001)
        told.append(run.wait_for(note))
        raise


@workflow(name="events-timed-out-again", retry=Retry.fixed(2, 0.0))
def timed_out_again(run: WorkflowRun) -> list[Any]:
    """The wait that timed out is begun anew; what was done beside it is kept."""
    expected = run.expect(note, 0.03)
    act.run(run, "beside")
    return [run.attempt, expected.result()]


def waiting(house: House, definition: Workflow[..., Any], *args: Any) -> str:
    """A run that has come to its wait."""
    run_id = house.enqueue(definition, *args)
    outcome = house.take(run_id)
    assert outcome is not None
    assert outcome.status in (RunStatus.AWAITING_EVENT, RunStatus.AWAITING_STEPS), outcome
    return run_id


def send(house: House, run_id: str, what: Any, payload: Any, event_id: str | None = None) -> bool:
    """Sends an event."""
    return house.sender.send(run_id, "events", what, payload, event_id)


def result(house: House, definition: Workflow[..., Any], run_id: str) -> Any:
    """Does all that is left to do, and gives the run's result."""
    house.drain()
    row = run_row(house.journal, run_id)
    assert RunStatus.COMPLETED == row.status, (row.status, row.reason, row.error)
    return definition.signature.read_result(row.output)


@pytest.fixture
def house(journal: Journal) -> House:
    """A house whose retry delays are short."""
    return House(journal)


@pytest.mark.parametrize("is_early", [True, False])
def test_event_reaches_the_run_that_waits_or_will_wait(house: House, is_early: bool) -> None:
    """Whether it came before the run was first taken, or while it waits; its type is what was sent."""
    run_id = house.enqueue(one, None) if is_early else waiting(house, one, None)
    assert send(house, run_id, approved, Approval("ann"))
    assert "ann" == result(house, one, run_id)


def test_waiting_run_says_what_it_waits_for(house: House) -> None:
    """In its state, its reason and its row; nobody holds it."""
    run_id = waiting(house, one, 3600)
    row = run_row(house.journal, run_id)
    assert ("awaiting_event", None, '{"events-approved":1}', 1) == (
        row.status,
        row.owner,
        row.await_events,
        row.await_count,
    )
    assert row.reason.startswith("waits for event 'events-approved' until 2")
    assert row.due_at > row.claimed_at


def test_events_are_had_in_order_and_once_each(house: House) -> None:
    """However they are spread over the waits; those of another name are in nobody's way."""
    run_id = house.enqueue(many, 5)
    for number in (0, 1):
        send(house, run_id, note, number)
        send(house, run_id, other, 7)
    house.take(run_id)
    for number in (2, 3, 4):
        send(house, run_id, note, number)
        house.drain()
    assert [0, 1, 2, 3, 4] == result(house, many, run_id)


def test_three_hundred_events_before_the_run_waits(house: House) -> None:
    """One pass has them all, in order."""
    run_id = house.enqueue(many, 300)
    for number in range(300):
        send(house, run_id, note, number)
    outcome = house.take(run_id)
    assert outcome is not None
    assert (RunStatus.COMPLETED, 1) == (outcome.status, run_row(house.journal, run_id).epoch)
    assert list(range(300)) == result(house, many, run_id)


def test_gather_of_events_and_steps_resumes_once(house: House) -> None:
    """Three events and a step: the last of them wakes the run."""
    run_id = waiting(house, gathered)
    row = run_row(house.journal, run_id)
    assert ("awaiting_steps", 4) == (row.status, row.await_count)
    house.inbox.clear()
    for what, payload in ((note, "a"), (other, 5), (note, "b"), (note, "unexpected")):
        send(house, run_id, what, payload)
        assert [] == list(house.inbox)
    [step_id] = [row.id for row in _children(house, run_id)]
    house.take(step_id)
    assert [run_id] == list(house.inbox)
    assert ["a", "beside done", 5, "b"] == result(house, gathered, run_id)
    assert 2 == run_row(house.journal, run_id).epoch


def test_first_takes_the_event_that_was_sent_first(house: House) -> None:
    """Not the one whose future is named first."""
    run_id = house.enqueue(first_of, None)
    send(house, run_id, other, 1)
    send(house, run_id, note, "later")
    assert "events-other: 1" == result(house, first_of, run_id)


def test_first_is_over_when_a_timeout_is(house: House) -> None:
    """What did not come in time is over at its deadline."""
    run_id = waiting(house, first_of, 0.02)
    assert "events-note: too late" == result(house, first_of, run_id)


def test_timeout_raises_and_says_what_did_not_come(house: House) -> None:
    """The timer queues the run, and the pass records that the time is over."""
    run_id = waiting(house, one, 0.03)
    assert "No event 'events-approved' came within 0.03 s." == result(house, one, run_id)
    assert [StepKind.TASK, StepKind.EVENT, StepKind.TIMEOUT] == [
        step.kind for step in house.journal.views.steps(run_id)
    ]


def test_timeout_of_zero_takes_only_what_is_there(house: House) -> None:
    """Without waiting; it looks once more, as an event may have come since the claim."""
    there, none = house.enqueue(one, 0.0), house.enqueue(one, 0.0)
    send(house, there, approved, Approval("ann"))
    assert ["ann", "No event 'events-approved' came within 0 s."] == [
        result(house, one, run_id) for run_id in (there, none)
    ]


def test_event_sent_after_the_deadline_is_for_the_next_wait(house: House) -> None:
    """Even if nobody has noticed yet that the time is over: what a run sees does not depend on who is slow."""
    run_id = waiting(house, deadlines, 0.02)
    time.sleep(0.05)
    send(house, run_id, note, "late")
    assert ["No event 'events-note' came within 0.02 s.", "late"] == result(house, deadlines, run_id)


def test_retry_of_the_workflow_frees_what_came_after_the_failed_step(house: House) -> None:
    """The first event is not waited for again, the second is there for the second wait."""
    run_id = house.enqueue(retried)
    send(house, run_id, note, "first")
    send(house, run_id, note, "second")
    assert ["first", "lucky", "second"] == result(house, retried, run_id)


def test_retry_after_a_timeout_waits_anew(house: House) -> None:
    """The step beside it is not done again."""
    run_id = waiting(house, timed_out_again)
    time.sleep(0.04)
    house.publish(house.journal.timers.queue_due(["events-timed-out-again@1.0.0"], 10))
    outcome = house.take(run_id)
    assert outcome is not None
    assert RunStatus.AWAITING_RETRY is outcome.status, outcome
    send(house, run_id, note, "came")
    assert [2, "came"] == result(house, timed_out_again, run_id)
    assert 1 == sum(step.name == "events-act" for step in house.journal.views.steps(run_id))


@pytest.mark.parametrize("timeout", [0.02, 3600])
def test_event_wakes_who_waits_behind_an_expectation_that_may_be_over(house: House, timeout: float) -> None:
    """The first event is for the wait if the time of the one before it is over by then; else the second is."""
    run_id = waiting(house, left, timeout)
    time.sleep(0.03)
    send(house, run_id, note, "a")
    house.take(run_id)
    if timeout > 1:
        assert RunStatus.AWAITING_EVENT == run_row(house.journal, run_id).status
        send(house, run_id, note, "b")
    assert ("a" if timeout < 1 else "b") == result(house, left, run_id)


@pytest.mark.parametrize("known", [0, 1, 2])
def test_wait_that_a_cancel_has_ended_takes_no_event_from_the_clean_up(house: House, known: int) -> None:
    """Whether it was there when the clean-up began, or came later."""
    told.clear()
    run_id = waiting(house, cleaned_up)
    house.publish(house.journal.control.cancel(run_id).envelopes)
    for number in range(2):
        if number == known:
            house.drain()
        send(house, run_id, note, number)
    house.drain()
    assert (RunStatus.CANCELLED, [0, 1]) == (run_row(house.journal, run_id).status, told)


def test_id_counts_once(house: House) -> None:
    """The payload of the first counts; another id is another event, and without an id each is."""
    run_id = house.enqueue(many, 4)
    assert [True, False, True, True, True] == [
        send(house, run_id, note, "a", "webhook-1"),
        send(house, run_id, note, "b", "webhook-1"),
        send(house, run_id, note, "a", "webhook-2"),
        send(house, run_id, note, "a"),
        send(house, run_id, note, "a"),
    ]
    assert ["a", "a", "a", "a"] == result(house, many, run_id)
    assert not send(house, run_id, note, "a", "webhook-1"), "a webhook that comes again after the end"


def test_run_that_is_over_refuses(house: House) -> None:
    """The error names run and state; an unknown run and a started step refuse too."""
    run_id = house.enqueue(one, None)
    send(house, run_id, approved, Approval("ann"))
    result(house, one, run_id)
    with pytest.raises(RunFinished) as refused:
        send(house, run_id, approved, Approval("late"))
    assert (run_id, "completed") == (refused.value.run_id, refused.value.status)
    with pytest.raises(RunNotFound):
        send(house, "no-such-run", approved, Approval("ann"))
    step_id = launched(house.journal, 1).children[1]
    with pytest.raises(WrongState, match="it is a step; events are sent to runs of workflows"):
        send(house, step_id, approved, Approval("ann"))
    assert 1 == count(house.journal, "events")


@pytest.mark.parametrize(
    ("what", "payload", "event_id", "error", "says"),
    [
        (
            approved,
            {"name": "ann"},
            None,
            InputInvalid,
            "events-approved: argument 'payload': by: Field required",
        ),
        (
            other,
            "seven",
            None,
            InputInvalid,
            "events-other: argument 'payload': Input should be a valid integer",
        ),
        (note, {1, 2}, None, NotJournalable, "events-note: payload cannot be journaled"),
        (note, "x" * 2000, None, PayloadTooLarge, "events-note: the payload has 2,002 bytes"),
        (note, "x", "", InputInvalid, "argument 'id': must be 1 to 200 printable"),
        (note, "x", "i" * 201, InputInvalid, "argument 'id': must be 1 to 200 printable"),
        (note, "x", "pay-7 ", InputInvalid, "argument 'id': .* without a space at the end, not 'pay-7 '"),
        (note, "x", "pay-\0", InputInvalid, "argument 'id': must be 1 to 200 printable"),
        (note, "x", "pay-\udcff", InputInvalid, "argument 'id': must be 1 to 200 printable"),
        (note, "x", "callback:1", InputInvalid, "ids that begin with aiki: or callback: are ours"),
        ("events-note", "x", None, InputInvalid, "argument 'event': what event"),
    ],
)
def test_bad_send_is_refused_before_anything_is_written(
    journal: Journal, what: Any, payload: Any, event_id: str | None, error: type[Exception], says: str
) -> None:
    """The message names the event and what is wrong."""
    house = House(journal, max_payload=1024)
    run_id = house.enqueue(one, None)
    with pytest.raises(error, match=says):
        send(house, run_id, what, payload, event_id)
    assert (0, 0) == (count(journal, "events"), run_row(journal, run_id).events)


def test_inbox_has_a_limit(house: House) -> None:
    """The event that is one too many is refused, and what is there is kept."""
    journal = house.journal
    small = Inbox(journal.connections, journal.schema, 30.0, max_events=3)
    run_id = house.enqueue(many, 3)
    for number in range(3):
        small.send(run_id, note.name, str(number), f"id-{number}")
    with pytest.raises(EventLimitExceeded, match=r"has received aiki_max_events \(3\) events"):
        small.send(run_id, note.name, "3", "id-3")
    assert [0, 1, 2] == result(house, many, run_id)


def test_paused_or_stalled_run_keeps_what_it_receives(house: House) -> None:
    """It does not go on because of it; it has it when it goes on."""
    for status in ("paused", "stalled"):
        run_id = waiting(house, one, None)
        set_run(house.journal, run_id, status=status)
        send(house, run_id, approved, Approval("ann"))
        assert status == run_row(house.journal, run_id).status
        set_run(house.journal, run_id, status="queued")
        house.inbox.append(run_id)
        assert "ann" == result_without_drain(house, run_id)


def result_without_drain(house: House, run_id: str) -> Any:
    """Takes the run to its end in one pass."""
    outcome: Outcome | None = house.take(run_id)
    assert outcome is not None
    assert RunStatus.COMPLETED is outcome.status, outcome
    return one.signature.read_result(outcome.output or "")


def test_recorded_wait_is_not_written_again_and_costs_one_select(house: House) -> None:
    """A pass after an event: the claim, the record, the inbox; the answer costs nothing."""
    run_id = waiting(house, many, 1)
    send(house, run_id, note, "a")
    with counting(house.journal) as counted:
        house.take(run_id)
    more = 1 if house.journal.connections.dialect == "mysql" else 0
    assert (3 + more + 1, 2) == counted.cost


def test_wait_is_two_statements_and_send_is_three(house: House) -> None:
    """The expectation is written in the transaction that parks; each send is one transaction."""
    run_id = house.enqueue(many, 2)
    more = 1 if house.journal.connections.dialect == "mysql" else 0
    with counting(house.journal) as parked:
        house.take(run_id)
    with counting(house.journal) as woken:
        send(house, run_id, note, 1)
    with counting(house.journal) as kept:
        send(house, run_id, note, 2, "my-id")
    with counting(house.journal) as twice:
        send(house, run_id, note, 2, "my-id")
    assert [(1 + more + 2, 2), (3, 1), (3, 1)] == [parked.cost, woken.cost, kept.cost]
    assert 3 == len(twice.statements)


def test_deadline_that_is_over_before_anybody_came_is_seen(house: House) -> None:
    """A run that was due long ago, when nobody was there, times out as it would have then."""
    run_id = waiting(house, one, 3600)
    age(house.journal, run_id, 7200, "due_at")
    steps = house.journal.schema.steps
    with house.journal.connections.transaction() as connection:
        connection.execute(
            steps.update()
            .where(steps.c.run_id == run_id, steps.c.kind == "event")
            .values(due_at=steps.c.due_at - 7_200_000_000, started_at=steps.c.started_at - 7_200_000_000)
        )
    send(house, run_id, approved, Approval("too late"))
    assert "No event 'events-approved' came within 3600 s." == result(house, one, run_id)


def _children(house: House, run_id: str) -> Any:
    return house.journal.views.find(parent_id=run_id)
