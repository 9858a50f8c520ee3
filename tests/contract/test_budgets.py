"""What each operation costs in statements and commits, counted through SQLAlchemy's own events."""

from __future__ import annotations

import itertools

import pytest

from aiki_celery.definitions.task import task
from aiki_celery.definitions.workflow import workflow
from aiki_celery.engine.context import WorkflowRun
from aiki_celery.engine.execute import Executor
from aiki_celery.engine.outcome import Outcome
from aiki_celery.journal.journal import Journal
from aiki_celery.model.status import RunStatus
from tests.contract.counting import Counted, counting
from tests.contract.house import House
from tests.contract.rows import count
from tests.contract.stories import ALICE, finished, in_pass, new_run, queued, step, token

STEPS = 5

_calls = itertools.count()


@task(name="budget-add")
def add(number: int) -> int:
    """Adds nothing much."""
    next(_calls)
    return number + 1


@workflow(name="budget")
def five_steps(run: WorkflowRun) -> int:
    """Five inline steps."""
    return sum(add.run(run, number) for number in range(STEPS))


class LetGoAfter:
    """A host that ends after so many steps.

    Args:
        steps: How many it lets pass.
    """

    def __init__(self, steps: int) -> None:
        self._left = steps

    def should_let_go(self, held_for: float) -> str | None:
        """Says so at the step after them."""
        self._left -= 1
        return "the test says so" if self._left < 0 else None

    @property
    def is_ending(self) -> bool:
        """It is not."""
        return False


@pytest.fixture
def executor(journal: Journal) -> Executor:
    """Runs passes in this process."""
    return House(journal).executor


def budget_run(journal: Journal) -> str:
    """A queued run of the workflow above."""
    return queued(journal, workflow="budget", input="{}")


def one_pass(executor: Executor, run_id: str, steps: int) -> Outcome:
    """Claims the run and runs it, letting go after so many new steps."""
    taken = executor.claim(run_id, ALICE)
    assert taken is not None
    return executor.run(five_steps, *taken, LetGoAfter(steps), told=True)


def claim_cost(journal: Journal, *, first: bool = True) -> int:
    """Statements of a claim: MariaDB has no UPDATE ... RETURNING and reads the row by one more; so does a record."""
    return 1 + (journal.connections.dialect == "mysql") + (not first)


def test_enqueue_is_one_statement_and_one_commit(journal: Journal) -> None:
    """A run is written by one statement, with a reference id or without."""
    with counting(journal) as counted:
        queued(journal)
    with counting(journal) as named:
        queued(journal, reference_id="order-1")
    assert [(1, 1), (1, 1)] == [counted.cost, named.cost]


def test_enqueue_many_is_one_statement_of_many_rows_and_one_commit(journal: Journal) -> None:
    """A hundred runs are one call of the driver."""
    with counting(journal) as counted:
        journal.starts.insert_many([new_run() for _ in range(100)])
    assert ((1, 1), 1, 100) == (counted.cost, len(counted.executemany), count(journal, "runs"))


def test_claim_is_one_statement_and_one_commit_and_a_record_one_statement_more(journal: Journal) -> None:
    """A run that nobody has had has no record to read; on MariaDB one more statement reads the claimed row."""
    run_id, (claim, writing) = queued(journal), in_pass(journal)
    for number in range(1, 51):
        writing.append(step(number))
    writing.hand_over("drain")
    writing.close()
    costs = []
    for taken in (run_id, claim.run_id):
        with counting(journal) as counted:
            assert journal.claims.claim(taken, ALICE, token()) is not None
        costs.append(counted.cost)
    assert [(claim_cost(journal), 1), (claim_cost(journal, first=False), 1)] == costs


def test_claim_of_what_is_not_there_is_one_statement(journal: Journal) -> None:
    """A message that came again costs one statement."""
    run_id = finished(journal)
    with counting(journal) as counted:
        assert journal.claims.claim(run_id, ALICE, token()) is None
    assert 1 == len(counted.statements)


def test_inline_step_is_one_statement_and_one_commit_on_a_held_connection(journal: Journal) -> None:
    """Records are fenced INSERTs, each its own transaction, over one connection for the whole pass."""
    _, writing = in_pass(journal)
    with counting(journal) as counted:
        for number in range(1, STEPS + 1):
            writing.append(step(number))
    writing.close()
    assert ((STEPS, STEPS), 1) == (counted.cost, counted.checkouts)


@pytest.mark.parametrize("status", [RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED])
def test_finish_is_one_statement_and_one_commit(journal: Journal, status: RunStatus) -> None:
    """The outcome and its line of history are one statement."""
    _, writing = in_pass(journal)
    with counting(journal) as counted:
        writing.finish(status, output="1", why="over", told=False)
    writing.close()
    assert (1, 1) == counted.cost


def test_park_with_a_record_is_two_statements_and_one_commit(journal: Journal) -> None:
    """A wait's record and the run's new state are one transaction."""
    claim, writing = in_pass(journal)
    with counting(journal) as counted:
        writing.park(RunStatus.SLEEPING, (step(1),), due_at=claim.now, why="waits", attempt=1)
    writing.close()
    assert (2, 1) == counted.cost


def test_whole_run_costs_the_sum_of_its_parts(journal: Journal, executor: Executor) -> None:
    """The claim, one statement for each step, one for the end; nothing else."""
    run_id = budget_run(journal)
    with counting(journal) as counted:
        outcome = one_pass(executor, run_id, STEPS)
    assert (RunStatus.COMPLETED, (claim_cost(journal) + STEPS + 1, 1 + STEPS + 1)) == (
        outcome.status,
        counted.cost,
    )


def test_replay_of_a_recorded_step_costs_nothing(journal: Journal, executor: Executor) -> None:
    """The second pass replays four steps without a statement, runs the last and ends."""
    run_id = budget_run(journal)
    assert RunStatus.QUEUED is one_pass(executor, run_id, STEPS - 1).status
    called = next(_calls)
    with counting(journal) as counted:
        outcome = one_pass(executor, run_id, STEPS)
    calls_since = next(_calls) - called - 1
    assert (RunStatus.COMPLETED, 1, (claim_cost(journal, first=False) + 1 + 1, 3)) == (
        outcome.status,
        calls_since,
        counted.cost,
    )


def test_idle_look_at_the_timers_is_one_statement(journal: Journal) -> None:
    """A sweep that finds nothing due has asked once."""
    queued(journal, delay=3600.0)
    with counting(journal) as counted:
        journal.timers.seconds_to_next()
    assert _reads(counted) == 1


def _reads(counted: Counted) -> int:
    assert counted.commits == 0
    return len(counted.statements)
