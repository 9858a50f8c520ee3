"""Started Celery tasks: each try is taken once, and each end is counted once, whoever tells it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from aiki_celery.errors import ClaimLost
from aiki_celery.journal.journal import Journal
from aiki_celery.model.adopted_call import AdoptedCall
from aiki_celery.model.records import Claim
from aiki_celery.model.status import TERMINAL, RunKind, RunStatus
from tests.contract.adoptions import CALL, adopting, adopting_and_waiting, take, taken
from tests.contract.counting import counting
from tests.contract.failing import lost_answer
from tests.contract.families import TASK, Parent, end, launched, wake_ups
from tests.contract.interleaving import Interleaving, Outcome
from tests.contract.rows import age, run_row, set_run, wipe
from tests.contract.stories import BOB, queued, token

SECOND = 1_000_000


def retried(journal: Journal, run_id: str, attempt: int = 1, due_in: float = 60.0) -> None:
    """Celery has sent the next try."""
    claim = taken(journal, run_id, attempt)
    writing = journal.begin_pass(claim)
    due_at = claim.now + int(due_in * SECOND)
    writing.park(RunStatus.AWAITING_RETRY, (), due_at=due_at, why="tries again", attempt=attempt + 1)
    writing.close()


def test_a_try_is_taken_once(journal: Journal) -> None:
    """By one of those that get its message."""
    run_id = adopting(journal).children[1]
    with ThreadPoolExecutor(8) as pool:
        claims = list(pool.map(lambda _: take(journal, run_id), range(8)))

    [claim] = [claim for claim in claims if claim is not None]
    assert (RunKind.ADOPTED, TASK, 1, "{}", CALL) == (
        claim.kind,
        claim.workflow,
        claim.attempt,
        claim.input,
        claim.call,
    )
    row = run_row(journal, run_id)
    assert ("running", BOB.worker_id, BOB.pid, claim.token, None) == (
        row.status,
        row.owner,
        row.owner_pid,
        row.claim_token,
        row.due_at,
    )


@pytest.mark.parametrize(
    ("state", "attempt", "is_taken"),
    [
        ("queued", 1, True),
        ("queued", 3, True),  # sent by Celery while we believed the first to be still in the queue
        ("running", 1, False),
        ("running", 2, True),  # Celery's next try overtook the note of it
        ("awaiting retry", 1, False),  # the first one's message once more
        ("awaiting retry", 2, True),
        ("queued again", 1, False),
        ("queued again", 2, True),
        ("completed", 1, False),
        ("completed", 2, False),
    ],
)
def test_a_message_takes_its_own_try_or_a_later_one(
    journal: Journal, state: str, attempt: int, is_taken: bool
) -> None:
    """Never one that is over, or that another one has followed."""
    run_id = adopting(journal).children[1]
    if state == "running":
        taken(journal, run_id)
    elif state == "awaiting retry":
        retried(journal, run_id)
    elif state == "queued again":
        retried(journal, run_id, due_in=-1)
        assert [run_id] == [run.run_id for run in journal.timers.queue_due([TASK], 10)]
    elif state == "completed":
        end(journal, taken(journal, run_id))

    claim = take(journal, run_id, attempt)

    assert is_taken == (claim is not None)
    if claim is not None:
        assert attempt == claim.attempt == run_row(journal, run_id).attempt


def test_who_was_overtaken_by_the_next_try_can_write_nothing(journal: Journal) -> None:
    """Its epoch is over."""
    run_id = adopting(journal).children[1]
    first = taken(journal, run_id)
    second = taken(journal, run_id, 2)

    with pytest.raises(ClaimLost):
        end(journal, first)
    end(journal, second)
    assert "completed" == run_row(journal, run_id).status


def test_only_celery_tasks_are_taken_and_settled_so(journal: Journal) -> None:
    """A workflow's run and a step are safe from a forged message."""
    workflow, step = queued(journal), launched(journal, 1).children[1]

    for run_id in (workflow, step, "unknown"):
        assert take(journal, run_id) is None
        assert journal.adoptions.settle(run_id, RunStatus.COMPLETED, output="1", why="forged") is None
        assert {} == journal.adoptions.calls([run_id])
    assert ["queued", "queued"] == [run_row(journal, run_id).status for run_id in (workflow, step)]


@pytest.mark.parametrize("state", ["queued", "running", "awaiting retry", "stalled"])
@pytest.mark.parametrize("status", sorted(TERMINAL))
def test_an_end_told_from_outside_wakes_the_parent(journal: Journal, state: str, status: RunStatus) -> None:
    """Whoever holds the task, or nobody."""
    parent = adopting_and_waiting(journal)
    run_id = parent.children[1]
    if state == "running":
        taken(journal, run_id)
    elif state == "awaiting retry":
        retried(journal, run_id)
    elif state == "stalled":
        set_run(journal, run_id, status="stalled", reason="undelivered")

    woken = journal.adoptions.settle(run_id, status, output="1", error="{}", why="told")

    assert [parent.id] == [run.run_id for run in woken or ()]
    row = run_row(journal, run_id)
    assert (status.value, "1", "{}", None, None, None) == (
        row.status,
        row.output,
        row.error,
        row.owner,
        row.claim_token,
        row.due_at,
    )
    assert row.finished_at is not None
    last = journal.views.history(run_id)[-1]
    assert (status, "told") == (last.status, last.reason)


@pytest.mark.parametrize("by", ["both from outside", "its worker stops", "its worker comes by"])
def test_an_end_counts_once_however_often_it_is_told(journal: Journal, by: str) -> None:
    """By its worker and from outside, or twice from outside, stepped through one another."""

    def prepare() -> tuple[Parent, Claim]:
        wipe(journal)
        parent = adopting_and_waiting(journal, 2)
        return parent, taken(journal, parent.children[1])

    def tell(scene: tuple[Parent, Claim]) -> list[str]:
        woken = journal.adoptions.settle(scene[1].run_id, RunStatus.COMPLETED, output="1", why="told")
        return [run.run_id for run in woken or ()]

    def work(scene: tuple[Parent, Claim]) -> list[str]:
        try:
            return end(journal, scene[1])
        except ClaimLost:
            return []

    def check(scene: tuple[Parent, Claim], outcome: Outcome) -> None:
        parent = scene[0]
        assert ([], []) == (outcome.first, outcome.second)
        waiting = run_row(journal, parent.id)
        assert ("awaiting_steps", 1) == (waiting.status, waiting.await_count)
        other = taken(journal, parent.children[2])
        assert ([parent.id], 1) == (end(journal, other), wake_ups(journal, parent.id))

    first, second = {
        "both from outside": (tell, tell),
        "its worker stops": (work, tell),
        "its worker comes by": (tell, work),
    }[by]
    Interleaving(journal, prepare, first, second, check).explore()


def test_an_end_whose_answer_was_lost_counts_once(journal: Journal) -> None:
    """The second try finds that there is nothing to settle."""
    parent = adopting_and_waiting(journal)
    with lost_answer(journal):
        journal.adoptions.settle(parent.children[1], RunStatus.COMPLETED, output="1", why="told")

    assert ("queued", 1) == (run_row(journal, parent.id).status, wake_ups(journal, parent.id))


def test_a_claim_whose_answer_was_lost_is_still_one(journal: Journal) -> None:
    """The second try knows the first one's work by its token."""
    run_id = adopting(journal).children[1]
    drawn = token()
    with lost_answer(journal):
        claim = journal.adoptions.claim(run_id, 1, BOB, drawn)
    assert claim is not None
    assert claim.token == drawn == run_row(journal, run_id).claim_token


def test_what_another_task_goes_on_with_is_nobodys(journal: Journal) -> None:
    """It is neither sent again nor stalled; its successor's message, or an end told from outside, finds it."""
    parent = adopting_and_waiting(journal)
    run_id = parent.children[1]
    claim = taken(journal, run_id)

    assert journal.adoptions.leave(claim, "another task goes on with it")
    assert not journal.adoptions.leave(claim, "twice")

    age(journal, run_id, 100_000)
    assert (False, False) == journal.deliveries.has_overdue()
    assert 0 == journal.deliveries.stall_undelivered(3600)
    assert {} == journal.deliveries.queued_per_queue()
    assert take(journal, run_id) is not None


def test_calls_are_given_of_what_is_not_over(journal: Journal) -> None:
    """With the try that their message is about, and whether one has begun: the expiry is about the first."""
    parent = adopting(journal, 3)
    retried(journal, parent.children[2])
    end(journal, taken(journal, parent.children[3]))

    assert {
        parent.children[1]: AdoptedCall(TASK, "{}", CALL, 1),
        parent.children[2]: AdoptedCall(TASK, "{}", CALL, 2, has_begun=True),
    } == journal.adoptions.calls([*parent.children.values(), parent.id, "unknown"])


def test_a_crash_keeps_the_try(journal: Journal) -> None:
    """It costs none, and the next message is about the same one."""
    run_id = adopting(journal).children[1]
    retried(journal, run_id)
    taken(journal, run_id, 2)

    freed, _ = journal.recovery.free_process(BOB.worker_id, BOB.pid)

    assert [run_id] == [run.run_id for run in freed]
    assert [RunKind.ADOPTED] == [run.kind for run in freed]
    assert 2 == journal.adoptions.calls([run_id])[run_id].attempt


def test_a_task_of_another_service_is_sent_until_the_broker_has_it(journal: Journal) -> None:
    """By whoever comes by; from then on it is never sent again, counted as missing, or stalled."""
    run_id = adopting(journal, kind=RunKind.FOREIGN).children[1]
    assert {} == journal.deliveries.queued_per_queue()
    age(journal, run_id, 100)
    assert [run_id] == [run.run_id for run in journal.deliveries.take_unpublished(["nothing@1"], 10)]
    journal.timers.mark_unpublished([run_id])
    age(journal, run_id, 100)
    assert [(run_id, RunKind.FOREIGN)] == [
        (run.run_id, run.kind) for run in journal.deliveries.take_unpublished(["nothing@1"], 10)
    ]

    journal.adoptions.mark_handed_out([run_id])

    age(journal, run_id, 100_000)
    assert (False, False) == journal.deliveries.has_overdue()
    assert [] == journal.deliveries.take_overdue([TASK], "celery", 10)
    assert {} == journal.deliveries.queued_per_queue()
    assert 0 == journal.deliveries.stall_undelivered(3600)
    assert journal.adoptions.settle(run_id, RunStatus.COMPLETED, output="1", why="told") is not None


def test_a_message_that_was_not_noted_as_handed_out_is_sent_again(journal: Journal) -> None:
    """Whoever sent it may have died before it did."""
    run_id = adopting(journal, kind=RunKind.FOREIGN).children[1]
    age(journal, run_id, 100)
    journal.deliveries.take_unpublished(["nothing@1"], 10)
    age(journal, run_id, 100)

    assert [run_id] == [run.run_id for run in journal.deliveries.take_overdue(["nothing@1"], "celery", 10)]


def test_only_a_queued_task_of_another_service_is_handed_out(journal: Journal) -> None:
    """One of ours is looked after; one that a worker of ours has taken, or that is over, stays as it is."""
    ours, held, over = (adopting(journal, kind=kind).children[1] for kind in KINDS)
    taken(journal, held)
    journal.adoptions.settle(over, RunStatus.CANCELLED, why="revoked")
    before = [run_row(journal, run_id) for run_id in (ours, held, over)]

    journal.adoptions.mark_handed_out([ours, held, over])

    assert before == [run_row(journal, run_id) for run_id in (ours, held, over)]


KINDS = (RunKind.ADOPTED, RunKind.FOREIGN, RunKind.FOREIGN)


def test_a_delayed_task_of_another_service_is_sent_by_anybody(journal: Journal) -> None:
    """Its time is waited for in the journal, as any run's."""
    run_id = adopting(journal, kind=RunKind.FOREIGN, delay=60.0).children[1]
    assert [] == journal.timers.queue_due(["nothing@1"], 10)
    age(journal, run_id, 61)

    assert [run_id] == [run.run_id for run in journal.timers.queue_due(["nothing@1"], 10)]


def test_a_task_of_ours_is_sent_by_those_that_have_it(journal: Journal) -> None:
    """Else workers without it would get, and pass on, one message after the other."""
    run_id = adopting(journal).children[1]
    age(journal, run_id, 100)

    assert [] == journal.deliveries.take_overdue(["nothing@1"], "celery", 10)
    assert [run_id] == [run.run_id for run in journal.deliveries.take_overdue([TASK], "celery", 10)]


def test_a_time_limit_fails_the_task(journal: Journal) -> None:
    """It has no policy of ours that would be asked."""
    parent = adopting_and_waiting(journal)
    run_id = parent.children[1]
    taken(journal, run_id)

    woken = journal.recovery.fail_timed_out(run_id, BOB.worker_id, BOB.pid, 5)

    assert [parent.id] == [run.run_id for run in woken]
    assert "failed" == run_row(journal, run_id).status


def test_what_adoptions_cost(journal: Journal) -> None:
    """Statements and commits: a claim, an end within the family, a message's content."""
    parent = adopting_and_waiting(journal, 2)
    with counting(journal) as claim:
        taken(journal, parent.children[1])
    with counting(journal) as told:
        journal.adoptions.settle(parent.children[1], RunStatus.COMPLETED, output="1", why="told")
    with counting(journal) as calls:
        journal.adoptions.calls(list(parent.children.values()))

    returning = bool(journal.connections.engine.dialect.update_returning)
    assert (2, 1) == claim.cost
    assert (3 if returning else 4, 1) == told.cost
    assert (1, 0) == calls.cost
