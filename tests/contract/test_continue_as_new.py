"""A run that continues as new: the same run, another input, an empty record."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from sqlalchemy import func, select

from aiki_celery import (
    InputInvalid,
    PayloadTooLarge,
    Retry,
    RunSuspended,
    WorkflowRun,
    current_step,
    task,
    workflow,
)
from aiki_celery.journal.history import PAGE
from aiki_celery.journal.journal import Journal
from aiki_celery.model.events import RunRenewing
from aiki_celery.model.status import RunStatus
from tests.contract.counting import counting
from tests.contract.failing import lost_answer
from tests.contract.families import children_of
from tests.contract.forks import forked
from tests.contract.house import House
from tests.contract.rows import count, run_row
from tests.contract.stories import ALICE, BOB, new_run, token
from tests.harness.invariants import check_invariants

keys: list[str] = []
drawn: list[list[str]] = []


@pytest.fixture(autouse=True)
def _all_is_new() -> None:
    keys.clear()
    drawn.clear()


@pytest.fixture
def house(journal: Journal) -> House:
    return House(journal)


@task(name="renew-note")
def note(what: str) -> str:
    keys.append(current_step().idempotency_key)
    return what


@task(name="renew-work")
def work(number: int) -> int:
    keys.append(current_step().idempotency_key)
    return number * 10


@workflow(name="renew-count")
def count_down(run: WorkflowRun, left: int, *, words: tuple[str, ...] = ()) -> list[str]:
    note.run(run, "always the same")
    drawn.append([str(run.uuid4()), repr(run.random())])
    if left:
        run.continue_as_new(left - 1, words=(*words, f"{left}"))
    return [*words, f"generation {run.generation}"]


@workflow(name="renew-poll")
def poll(run: WorkflowRun, number: int, until: int) -> int:
    """A poller: a step, a wait, and from the top."""
    note.run(run, "poll")
    run.sleep(0)
    if number < until:
        run.continue_as_new(number + 1, until)
    return number


@workflow(name="renew-hop")
def hop(run: WorkflowRun, number: int, until: int) -> int:
    """As little as a generation can do, and now and then a step."""
    if number % 50 == 0:
        note.run(run, "hop")
    if number < until:
        run.continue_as_new(number + 1, until)
    return number


def test_run_goes_on_with_the_new_input(house: House) -> None:
    """Under its id, to the result of its last generation; the record is that one's alone."""
    assert ["2", "1", "generation 2"] == house.result_of(count_down, 2)
    [run_id] = {key.partition(":")[0] for key in keys}
    row = run_row(house.journal, run_id)
    assert (2, 2, 1, 1) == (row.generation, row.base_seq, row.attempt, count(house.journal, "steps"))
    assert [3] == [step.seq for step in house.journal.views.steps(run_id)]
    check_invariants(house.journal.connections.engine)


def test_keys_and_draws_of_a_later_generation_are_others(house: House) -> None:
    """Those of the first are what they have always been; a payment of the second is another payment."""
    house.result_of(count_down, 2)
    [run_id] = {key.partition(":")[0] for key in keys}
    assert 3 == len(set(keys))
    assert ["0", "1.0", "2.0"] == [key.rpartition(":")[2] for key in keys]
    assert 3 == len({pair[0] for pair in drawn}) == len({pair[1] for pair in drawn})
    assert run_id == keys[0].partition(":")[0]


def test_thousand_generations_take_no_more_room_than_a_few(house: House) -> None:
    """Rows of every table, and the bytes of the history, stay what they were: a run can go on for ever."""
    journal = house.journal
    run_id = house.enqueue(hop, 0, 999)
    sizes = {}
    for number in range(1000):
        house.take(run_id)
        if number in (250, 500, 750):
            sizes[number] = size_of(journal, run_id)
    row = run_row(journal, run_id)
    assert (RunStatus.COMPLETED, "999", 999, 1000) == (row.status, row.output, row.generation, row.epoch)
    most = max(sizes.values())
    assert (1, 0) == most[:2]
    assert 20 == len(keys)
    assert most[2] <= 5 * PAGE
    assert sizes[750][2] <= 1.5 * sizes[250][2]
    assert journal.views.history(run_id)[-1].reason == "completed"


def size_of(journal: Journal, run_id: str) -> tuple[int, int, int]:
    """Rows of runs, of steps, and the characters of a run's history."""
    pages = journal.schema.history_pages
    with journal.connections.autocommit() as connection:
        length = func.sum(func.length(pages.c.lines))
        turned = connection.execute(select(length).where(pages.c.run_id == run_id)).scalar() or 0
    history = len(run_row(journal, run_id).history) + int(turned)
    return count(journal, "runs"), count(journal, "steps"), history


def test_renewal_whose_answer_is_lost_is_one(house: House) -> None:
    """It was committed; the second try finds that, and the message is sent."""
    run_id = house.enqueue(poll, 0, 1)
    taken = house.executor.claim(run_id, ALICE)
    assert taken is not None
    house.inbox.clear()
    with lost_answer_of_renewal(house):
        outcome = house.run(*taken)
    row = run_row(house.journal, run_id)
    assert (RunStatus.QUEUED, RunStatus.QUEUED, 1) == (outcome.status, row.status, row.generation)
    assert [run_id] == list(house.inbox)
    assert ['{"number":1,"until":1}', "queued"] == [row.input, row.status]


@contextmanager
def lost_answer_of_renewal(house: House) -> Iterator[None]:
    """Loses the answer of the first commit after the run is about to go on as new."""
    with ExitStack() as stack:
        off = house.hooks.on(RunRenewing, lambda _: stack.enter_context(lost_answer(house.journal)))
        try:
            yield
        finally:
            off()


def test_renewal_of_a_run_that_was_taken_over_is_refused(house: House) -> None:
    """Its record and its input are what they were."""
    journal = house.journal
    run_id = house.enqueue(poll, 0, 1)
    taken = house.executor.claim(run_id, ALICE)
    assert taken is not None

    def take_over(_: object) -> None:
        journal.recovery.free_process(ALICE.worker_id, ALICE.pid)
        assert journal.claims.claim(run_id, BOB, token()) is not None

    house.hooks.on(RunRenewing, take_over)
    assert house.run(*taken).status is None
    row = run_row(journal, run_id)
    assert ("running", 0, 1, '{"number":0,"until":1}') == (
        row.status,
        row.generation,
        count(journal, "steps"),
        row.input,
    )


@workflow(name="renew-sleeper")
def sleeper(run: WorkflowRun) -> str:
    run.sleep(3600)
    return "slept"


@workflow(name="renew-starts")
def starts(run: WorkflowRun, again: bool = True) -> list[int]:
    """Starts two steps and a child that nobody waits for, and goes on as new; then waits for steps of its own."""
    for number in (1, 2):
        work.start(run, number)
    sleeper.start(run)
    if again:
        run.continue_as_new(False)
    return run.gather(*[work.start(run, number) for number in (3, 4)])


def test_steps_go_on_and_children_end(house: House) -> None:
    """What had been started is written first; places go on counting, so no id comes twice."""
    run_id = house.enqueue(starts)
    house.take(run_id)

    first = {row.parent_seq: row for row in children_of(house.journal, run_id)}
    assert {1: "queued", 2: "queued", 3: "cancelled"} == {place: row.status for place, row in first.items()}
    assert "its parent continued as new" == first[3].reason
    house.drain()
    row = run_row(house.journal, run_id)
    assert (RunStatus.COMPLETED, "[30,40]", 3) == (row.status, row.output, row.base_seq)
    assert [*range(1, 9)] == [row.parent_seq for row in children_of(house.journal, run_id)]


@workflow(name="renew-family")
def family(run: WorkflowRun) -> list[list[str]]:
    return run.gather(count_down.start(run, 2), count_down.options(reference_id="counted").start(run, 1))


def test_parent_waits_across_generations(house: House) -> None:
    """And a run that follows one by its reference id, which holds for whoever starts it as it was started first."""
    assert [["2", "1", "generation 2"], ["1", "generation 1"]] == house.result_of(family)
    counted = count_down.signature.bind_input((1,), {})
    again = house.journal.starts.insert(
        new_run(
            workflow=count_down.name,
            input=counted.text,
            input_hash=count_down.signature.hash(counted.values),
            reference_id="counted",
        )
    )
    assert run_row(house.journal, again).generation == 1


tries: list[tuple[int, int]] = []


@workflow(name="renew-tried", retry=Retry.fixed(3, 0.001))
def tried(run: WorkflowRun, part: int) -> list[tuple[int, int]]:
    note.run(run, f"part {part}")
    tries.append((part, run.attempt))
    if run.attempt < 3:
        raise ValueError("not yet")
    if part == 0:
        run.continue_as_new(1)
    return tries


def test_policy_of_the_workflow_begins_anew(house: House) -> None:
    """Each generation has its attempts, and a retry begins with its input."""
    tries.clear()
    run_id = house.enqueue(tried, 0)
    house.drain()
    assert RunStatus.COMPLETED == run_row(house.journal, run_id).status
    assert [(0, 1), (0, 2), (0, 3), (1, 1), (1, 2), (1, 3)] == tries
    assert 2 == len(keys)


def test_arguments_that_do_not_fit_write_nothing(house: House) -> None:
    """The code is told, and may go on."""
    raised: list[Exception] = []

    @workflow(name=f"renew-refused-{house.journal.connections.dialect}")
    def refused(run: WorkflowRun, text: str) -> str:
        for wrong in ((1,), (), ("a", "b"), ("x" * 2_000_000,)):
            try:
                run.continue_as_new(*wrong)
            except (InputInvalid, PayloadTooLarge) as error:
                raised.append(error)
        return note.run(run, "all the same")

    assert "all the same" == house.result_of(refused, "a")
    assert [InputInvalid, InputInvalid, InputInvalid, PayloadTooLarge] == [type(one) for one in raised]


@workflow(name="renew-swallowing")
def swallowing(run: WorkflowRun, left: int) -> str:
    try:
        note.run(run, "try")
        if left:
            run.continue_as_new(left - 1)
    except Exception:
        note.run(run, "never")
    finally:
        if left:
            with pytest.raises(RunSuspended):
                note.run(run, "finally")
    return "done"


def test_code_around_it_is_left_as_by_a_wait(house: House) -> None:
    """`except Exception` does not see it, and nothing is recorded after it."""
    assert "done" == house.result_of(swallowing, 1)
    assert 2 == len(keys)


def test_limit_of_records_is_one_of_a_generation(journal: Journal) -> None:
    """Else a run that goes on for ever would meet it."""
    house = House(journal, max_steps=2)
    assert 5 == house.result_of(poll, 0, 5)


def test_renewal_costs_three_statements_and_a_commit(house: House) -> None:
    """The row, the record, and pages of the history that are too old."""
    run_id = house.enqueue(poll, 0, 1)
    taken = house.executor.claim(run_id, ALICE)
    assert taken is not None
    with counting(house.journal) as counted:
        house.run(*taken)
    assert (1 + 3, 1 + 1) == counted.cost, counted.statements


@workflow(name="renew-retried-by-hand")
def by_hand(run: WorkflowRun, left: int) -> str:
    if left:
        run.continue_as_new(left - 1)
    if run.attempt == 1:
        raise ValueError("mend me")
    return note.run(run, f"attempt {run.attempt}")


def test_retry_by_hand_of_an_empty_record_takes_the_next_place(house: House) -> None:
    """The generation has recorded nothing when it fails."""
    run_id = house.enqueue(by_hand, 2)
    house.drain()
    again = house.journal.second_chances.retry(run_id)
    assert again is not None
    house.publish([again])
    house.drain()
    assert (RunStatus.COMPLETED, '"attempt 2"') == (
        (row := run_row(house.journal, run_id)).status,
        row.output,
    )


def test_forked_generation_draws_what_it_had_drawn(house: House) -> None:
    """A fork of a run that has gone on as new begins with the record of that generation."""
    run_id = house.enqueue(count_down, 2)
    house.drain()
    copy = forked(house, run_id)
    house.drain()
    row = run_row(house.journal, copy)
    assert (RunStatus.COMPLETED, run_row(house.journal, run_id).input) == (row.status, row.input)
    assert (3, 2, 2) == (len(keys), row.generation, row.base_seq)
