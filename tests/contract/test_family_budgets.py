"""What starting others, waiting for them, and their ends cost in statements and commits."""

from __future__ import annotations

from typing import Any

import pytest

from aiki_celery.definitions.task import task
from aiki_celery.definitions.workflow import workflow
from aiki_celery.engine.context import WorkflowRun
from aiki_celery.engine.fork_plan import Wish
from aiki_celery.engine.forking import fork
from aiki_celery.journal import batches
from aiki_celery.journal.journal import Journal
from aiki_celery.model.status import RunStatus
from tests.contract.counting import Counted, counting
from tests.contract.families import (
    WAITS,
    end,
    launched,
    run_through,
    starts,
    states,
    taken,
    wait_for,
    waiting,
    wake_ups,
)
from tests.contract.house import House
from tests.contract.rows import age, run_row, set_run
from tests.contract.stories import ALICE, BOB, claimed, token
from tests.contract.test_family_references import start


@task(name="family-double")
def double(number: int) -> int:
    """Takes no time."""
    return 2 * number


@workflow(name="family-fan-out")
def fan_out(run: WorkflowRun, count: int) -> int:
    """Starts so many, and waits for all."""
    return sum(run.gather(*[double.start(run, number) for number in range(count)]))


def returning(journal: Journal) -> int:
    """MariaDB has no UPDATE ... RETURNING: what it would return is read by a statement more."""
    return 1 if journal.connections.dialect == "mysql" else 0


@pytest.mark.parametrize("count", [1, 7, 300])
def test_fan_out_that_waits_is_three_statements_and_one_commit(journal: Journal, count: int) -> None:
    """The parent's row, the records, the runs: as many of them as there are, in one transaction."""
    claim = claimed(journal)
    records, children = starts(claim, range(1, count + 1))
    with counting(journal) as counted:
        assert journal.launches.wait(claim, records, children, set(range(1, count + 1)), count, WAITS)
    assert ((3, 1), 2 if count > 1 else 0, count) == (
        counted.cost,
        len(counted.executemany),
        run_row(journal, claim.run_id).children,
    )


@pytest.mark.parametrize("count", [1, 300])
def test_fan_out_in_a_lane_is_four_statements_and_one_commit(journal: Journal, count: int) -> None:
    """Those that are held back are written by a statement of their own."""
    claim = claimed(journal)
    records, children = starts(claim, range(1, count + 2), lane=1, at_once=1)
    with counting(journal) as counted:
        assert journal.launches.wait(claim, records, children, set(range(1, count + 2)), count + 1, WAITS)
    assert (4, 1) == counted.cost


@pytest.mark.parametrize("count", [1, 300])
def test_launch_before_an_inline_step_is_three_statements_and_one_commit(
    journal: Journal, count: int
) -> None:
    """Starts that are not waited for yet cost the same."""
    claim = claimed(journal)
    records, children = starts(claim, range(1, count + 1))
    with counting(journal) as counted:
        journal.launches.launch(claim, records, children)
    assert (3, 1) == counted.cost


@pytest.mark.parametrize("over", [0, 1])
def test_wait_for_what_was_started_before_looks_once(journal: Journal, over: int) -> None:
    """What may have ended since is looked at in the same transaction, and taken off by one statement more."""
    parent = launched(journal, 2)
    for place in range(1, over + 1):
        run_through(journal, parent.children[place])
    with counting(journal) as counted:
        assert wait_for(journal, parent.claim, {1, 2})
    assert (2 + over, 1) == counted.cost


def test_take_of_a_started_step_is_one_statement_and_one_commit(journal: Journal) -> None:
    """Nobody has had it before, so there is no record to read."""
    parent = launched(journal, 1)
    with counting(journal) as counted:
        assert journal.claims.claim(parent.children[1], BOB, token()) is not None
    assert (1 + returning(journal), 1) == counted.cost


def test_end_of_a_started_step_is_two_statements_and_one_commit(journal: Journal) -> None:
    """It counts itself off and records its result, whether its parent waits or not."""
    costs = []
    for parent in (launched(journal, 1), waiting(journal, 2), waiting(journal, 2, need=1)):
        claim = taken(journal, parent.children[1])
        with counting(journal) as counted:
            woken = end(journal, claim)
        costs.append((counted.cost, woken))
    plain = (2 + returning(journal), 1)
    assert [(plain, []), (plain, []), ((3 + returning(journal), 1), [parent.id])] == costs


def test_last_end_is_three_statements_and_one_commit(journal: Journal) -> None:
    """The last one queues its parent, in the same transaction."""
    parent = waiting(journal, 2)
    run_through(journal, parent.children[2])
    claim = taken(journal, parent.children[1])
    with counting(journal) as counted:
        assert [parent.id] == end(journal, claim)
    assert (3 + returning(journal), 1) == counted.cost


def test_end_in_a_lane_is_four_statements_and_one_commit(journal: Journal) -> None:
    """It looks for the next in line, and queues it."""
    parent = waiting(journal, 3, lane=1, at_once=1)
    claim = taken(journal, parent.children[1])
    with counting(journal) as counted:
        assert [parent.children[2]] == end(journal, claim)
    assert (4 + returning(journal), 1) == counted.cost


def test_heartbeat_is_one_statement_and_one_commit(journal: Journal) -> None:
    """A report costs no more than it says."""
    writing = journal.begin_pass(taken(journal, launched(journal, 1).children[1]))
    with counting(journal) as counted:
        writing.report('{"key":"k","details":1}')
    writing.close()
    assert (1, 1) == counted.cost


@pytest.mark.parametrize("count", [1, 100])
def test_resume_after_results_is_claim_and_load(journal: Journal, count: int) -> None:
    """However many results there are, the parent and its record are two statements; they come with one join."""
    parent = waiting(journal, count)
    for child_id in parent.children.values():
        run_through(journal, child_id)
    with counting(journal) as counted:
        held = journal.claims.claim(parent.id, ALICE, token())
    assert held is not None
    assert ((2 + returning(journal), 1), count) == (
        counted.cost,
        sum(record.value == "1" for record in held[1]),
    )
    assert 1 == counted.statements[-1].upper().count("JOIN")


@pytest.mark.parametrize("count", [1, 60])
def test_whole_fan_out_costs_the_sum_of_its_parts(journal: Journal, count: int) -> None:
    """Two passes of the parent, two transactions for each step; a replayed start costs nothing."""
    house = House(journal)
    run_id = house.enqueue(fan_out, count)
    with counting(journal) as began:
        assert RunStatus.AWAITING_STEPS is _status(house, run_id)
    with counting(journal) as steps:
        while house.inbox[0] != run_id:
            house.take(house.inbox[0])
    with counting(journal) as ended:
        assert RunStatus.COMPLETED is _status(house, run_id)
    more = returning(journal)
    assert (
        (2 - 1 + more + 3, 2),
        (count * (1 + more + 2 + more) + 1, 2 * count),
        (2 + more + 1, 2),
    ) == (began.cost, steps.cost, ended.cost)


def test_look_for_expired_steps_is_one_statement(journal: Journal) -> None:
    """One more look of the sweep, only when something is due."""
    step_id = launched(journal, 1, timeout=1_000_000).children[1]
    taken(journal, step_id)
    age(journal, step_id, 60, "due_at")
    with counting(journal) as counted:
        assert [step_id] == journal.timers.expired(["resize"], 10)
    set_run(journal, step_id, due_at=None)
    with counting(journal) as idle:
        assert None is journal.timers.seconds_to_next()
    assert [(1, 0), (1, 0)] == [_reads(counted), _reads(idle)]


def test_cancel_of_many_names_a_batch_of_them_in_a_statement(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A statement takes only so many parameters: all are cancelled, by as many statements as it takes."""
    monkeypatch.setattr(batches, "BATCH", 3)
    parent = launched(journal, 7)
    ids = set(parent.children.values())
    for run_id in ids:
        set_run(journal, run_id, children=1)
    with counting(journal) as counted:
        journal.control.cancel(parent.id, "not needed")
    assert ["cancelled"] * 7 == states(journal, parent)[1]
    named = [len(ids.intersection(_values(parameters))) for parameters in counted.parameters]
    # To cancel them, and to look for what they have started.
    assert [3, 3, 1] * 2 == [number for number in named if number]


@pytest.mark.parametrize("is_over", [False, True], ids=["live", "over"])
def test_cancel_of_what_a_fork_follows_costs_the_same_for_many(journal: Journal, is_over: bool) -> None:
    """Who follows, and which of them are live forks, is asked once; they are told at once, too."""
    costs = []
    for count in (2, 300):
        parent = launched(journal, count)
        copy = fork(journal, parent.id, Wish(None, None, None)).run_id
        if is_over:
            journal.control.cancel(copy, "not needed", force=True)
        with counting(journal) as counted:
            journal.control.cancel(parent.id, "replaced")
        assert [STEPS[is_over]] * count == states(journal, parent)[1]
        costs.append(counted.cost)
    assert [costs[0]] * 2 == costs


#: What becomes of the steps of a run that is cancelled: a live fork of it still waits for them.
STEPS = {False: "queued", True: "cancelled"}


def test_cancel_of_what_others_wait_for_costs_the_same_for_many(journal: Journal) -> None:
    """However many runs each of them has found by their reference ids."""
    costs = []
    for count in (2, 40):
        parent, follower = claimed(journal), claimed(journal)
        for place in range(1, count + 1):
            facts = {"reference_id": f"{count}-{place}", "on_close": "cancel"}
            assert start(journal, parent, place, **facts)[1]
            assert not start(journal, follower, place + 1, **facts)[1]
        assert wait_for(journal, follower, set(range(2, count + 2)))
        with counting(journal) as counted:
            journal.control.cancel(parent.run_id, "not needed", force=True)
        assert (1, 0) == (wake_ups(journal, follower.run_id), run_row(journal, follower.run_id).await_count)
        costs.append(counted.cost)
    assert [costs[0]] * 2 == costs


def _values(parameters: Any) -> list[Any]:
    return list(parameters.values() if isinstance(parameters, dict) else parameters)


def _status(house: House, run_id: str) -> RunStatus | None:
    outcome = house.take(run_id)
    assert outcome is not None
    return outcome.status


def _reads(counted: Counted) -> tuple[int, int]:
    return counted.cost
