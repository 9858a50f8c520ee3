"""Each verb in each state of a run, once and twice."""

from __future__ import annotations

import pytest

from aiki_celery.errors import ClaimLost, RunFinished, RunNotFound, WrongState
from aiki_celery.journal.asked import ControlAsked
from aiki_celery.journal.journal import Journal
from aiki_celery.model.records import Envelope
from aiki_celery.model.status import RunStatus, StepKind
from tests.contract.controlled import FRESH, OVER, REASON, STALLED, STATES, facts, kinds, sleeping
from tests.contract.counting import counting
from tests.contract.families import launched, taken
from tests.contract.rows import run_row
from tests.contract.stories import ALICE, BOB, claimed, in_pass, new_run, queued, step, token
from tests.harness.invariants import check_families

every_state = pytest.mark.parametrize("state", STATES)


def told(envelopes: list[Envelope]) -> list[str]:
    """The runs that messages are sent about."""
    return [envelope.run_id for envelope in envelopes]


@every_state
def test_cancel_in_each_state(journal: Journal, state: str) -> None:
    """At once if nothing has begun; else the code is to clean up, and a message is sent if none is on its way."""
    make, status = STATES[state]
    run_id = make(journal)
    if state in OVER and state != "cancelled":
        with pytest.raises(RunFinished, match=f"{run_id} is over: it is {status}"):
            journal.control.cancel(run_id, REASON)
        return

    done = journal.control.cancel(run_id, REASON)

    is_asked = state not in (*FRESH, *OVER)
    expected = "queued" if is_asked and status != "running" else status if is_asked else "cancelled"
    reason = REASON if state != "cancelled" else "the first time"
    assert (state != "cancelled") == done.is_new
    assert (expected, "cancel" if is_asked else None, reason) == facts(journal, run_id)
    assert ([run_id] if is_asked and status not in ("running", "queued") else []) == told(done.envelopes)
    assert run_row(journal, run_id).cancelled_at is not None
    check_families(journal.connections.engine)


@every_state
def test_cancel_twice_makes_no_difference(journal: Journal, state: str) -> None:
    """The second one says so, and changes nothing."""
    if state in ("completed", "failed"):
        pytest.skip("these are over")
    run_id = STATES[state][0](journal)
    journal.control.cancel(run_id, REASON)
    before = run_row(journal, run_id)

    again = journal.control.cancel(run_id, "another reason")

    assert (False, [], before) == (again.is_new, again.envelopes, run_row(journal, run_id))


@every_state
def test_cancel_by_force_in_each_state(journal: Journal, state: str) -> None:
    """It is over at once, whatever it was doing, and whoever holds it is refused."""
    run_id = STATES[state][0](journal)
    if state in ("completed", "failed"):
        with pytest.raises(RunFinished):
            journal.control.cancel(run_id, force=True)
        return

    journal.control.cancel(run_id, REASON, force=True)

    row = run_row(journal, run_id)
    assert ("cancelled", None, None, None) == (row.status, row.control, row.owner, row.due_at)
    check_families(journal.connections.engine)


def test_cancel_by_force_of_a_run_that_is_asked_already(journal: Journal) -> None:
    """Who cannot wait for the clean-up ends it."""
    claim, writing = in_pass(journal)
    journal.control.cancel(claim.run_id, REASON)

    assert journal.control.cancel(claim.run_id, "its code is gone", force=True).is_new

    assert "cancelled" == run_row(journal, claim.run_id).status
    with pytest.raises(ClaimLost):
        writing.append(step(1))
    writing.close()


@every_state
def test_pause_in_each_state(journal: Journal, state: str) -> None:
    """At once if nobody holds it; else when it next writes."""
    make, status = STATES[state]
    run_id = make(journal)
    if state in (*OVER, *STALLED):
        with pytest.raises(RunFinished if state in OVER else WrongState, match=status):
            journal.control_moves.pause(run_id)
        return

    done = journal.control_moves.pause(run_id)
    again = journal.control_moves.pause(run_id)

    expected = ("running", "pause") if status == "running" else ("paused", None)
    assert (status != "paused", False) == (done.is_new, again.is_new)
    assert (*expected, None) == facts(journal, run_id)


@every_state
def test_resume_in_each_state(journal: Journal, state: str) -> None:
    """A paused one is queued; one that is not paused goes on as it was, and one that is over is refused."""
    make, status = STATES[state]
    run_id = make(journal)
    if state in (*OVER, *STALLED):
        with pytest.raises(RunFinished if state in OVER else WrongState, match=status):
            journal.control_moves.resume(run_id)
        return

    done = journal.control_moves.resume(run_id)

    was_paused = state == "paused"
    assert (was_paused, [run_id] if was_paused else []) == (done.is_new, told(done.envelopes))
    assert ("queued" if was_paused else status) == run_row(journal, run_id).status


@every_state
def test_wake_in_each_state(journal: Journal, state: str) -> None:
    """Only a sleeping run can be woken; the error names the state of any other."""
    make, status = STATES[state]
    run_id = make(journal)
    if state != "sleeping":
        with pytest.raises(RunFinished if state in OVER else WrongState, match=status):
            journal.control_moves.wake(run_id)
        return

    done = journal.control_moves.wake(run_id)

    assert ([run_id], "queued", [StepKind.SLEEP, StepKind.WAKE]) == (
        told(done.envelopes),
        run_row(journal, run_id).status,
        kinds(journal, run_id),
    )


@pytest.mark.parametrize("verb", ["cancel", "pause", "resume", "wake"])
def test_unknown_run(journal: Journal, verb: str) -> None:
    """There is none with this id."""
    owner = journal.control if verb == "cancel" else journal.control_moves
    with pytest.raises(RunNotFound, match="nobody"):
        getattr(owner, verb)("nobody")


@pytest.mark.parametrize("was_paused", ["running", "handed over"])
def test_resume_takes_back_a_pause_that_nobody_has_heeded(journal: Journal, was_paused: str) -> None:
    """The run goes on as if it had never been asked."""
    claim, writing = in_pass(journal)
    journal.control_moves.pause(claim.run_id)
    if was_paused == "handed over":
        writing.hand_over("its worker ends")

    assert journal.control_moves.resume(claim.run_id).is_new

    assert ("running" if was_paused == "running" else "queued", None, None) == facts(journal, claim.run_id)
    if was_paused == "running":
        writing.append(step(1))
    writing.close()


def test_delayed_run_that_is_paused_and_resumed_keeps_its_time(journal: Journal) -> None:
    """It is scheduled again, for when it was to start; later, it is queued."""
    run_id = journal.starts.insert(new_run(delay=3600.0))
    due_at = run_row(journal, run_id).due_at
    journal.control_moves.pause(run_id)

    assert [] == journal.control_moves.resume(run_id).envelopes

    row = run_row(journal, run_id)
    assert ("scheduled", due_at) == (row.status, row.due_at)


def test_paused_run_is_left_alone(journal: Journal) -> None:
    """No worker takes it, and no sweep queues it, even when its time has come."""
    run_id = sleeping(journal, due_in=-5.0)
    journal.control_moves.pause(run_id)

    assert [] == journal.timers.queue_due(["greet@1.0.0"], 10)
    assert journal.claims.claim(run_id, ALICE, token()) is None


@pytest.mark.parametrize("is_held", [False, True])
def test_started_step_is_cancelled_at_once(journal: Journal, is_held: bool) -> None:
    """Its parent hears of it, and who is at it is refused; it cannot be paused."""
    parent = launched(journal, 1)
    child_id = parent.children[1]
    claim = taken(journal, child_id) if is_held else None
    with pytest.raises(WrongState, match=f"Pause run {parent.id}"):
        journal.control_moves.pause(child_id)
    assert journal.launches.wait(parent.claim, [], [], {1}, 1, "waits")

    done = journal.control.cancel(child_id, REASON)

    assert ([parent.id], "cancelled", "queued") == (
        told(done.envelopes),
        run_row(journal, child_id).status,
        run_row(journal, parent.id).status,
    )
    if claim is not None:
        writing = journal.begin_pass(claim)
        with pytest.raises(ClaimLost):
            writing.finish(RunStatus.COMPLETED, output="1", why="over", told=True)
        writing.close()
    check_families(journal.connections.engine)


def test_being_cancelled_it_cannot_be_paused(journal: Journal) -> None:
    """Its clean-up is to come to its end."""
    claim = claimed(journal)
    journal.control.cancel(claim.run_id, REASON)
    with pytest.raises(WrongState, match="being cancelled"):
        journal.control_moves.pause(claim.run_id)


def test_cancel_prevails_over_a_pause(journal: Journal) -> None:
    """A run that was asked to pause, and then to end, ends."""
    claim = claimed(journal)
    journal.control_moves.pause(claim.run_id)
    journal.control.cancel(claim.run_id, REASON)
    assert ("running", "cancel", REASON) == facts(journal, claim.run_id)
    assert not journal.control_moves.resume(claim.run_id).is_new
    assert "cancel" == run_row(journal, claim.run_id).control


def test_claim_tells_what_the_run_is_asked_for(journal: Journal) -> None:
    """So that it is heeded before any code runs."""
    run_id = sleeping(journal)
    journal.control.cancel(run_id, REASON)
    found = journal.claims.claim(run_id, BOB, token())
    assert found is not None
    assert ("cancel", REASON) == (found[0].control, found[0].cancel_reason)


@pytest.mark.parametrize("verb", ["pause", "cancel"])
def test_write_is_refused_once_the_run_is_asked(journal: Journal, verb: str) -> None:
    """Nothing is written, the pass learns what it is asked for, and it may still end the run."""
    claim, writing = in_pass(journal)
    writing.append(step(1))
    if verb == "pause":
        journal.control_moves.pause(claim.run_id)
    else:
        journal.control.cancel(claim.run_id)

    for write in (
        lambda: writing.append(step(2)),
        lambda: writing.park(RunStatus.SLEEPING, (step(2),), due_at=1, why="sleeps", attempt=1),
        lambda: journal.launches.launch(claim, [], []),
        lambda: journal.launches.wait(claim, [], [], {1}, 1, "waits"),
        writing.look,
    ):
        with pytest.raises(ControlAsked) as asked:
            write()
        assert verb == asked.value.control
    assert [StepKind.TASK] == kinds(journal, claim.run_id)

    writing.finish(RunStatus.COMPLETED, output="1", why="over", told=True)
    writing.close()
    assert ("completed", None) == facts(journal, claim.run_id)[:2]


def test_heartbeat_is_refused_by_a_cancel_alone(journal: Journal) -> None:
    """A step that is paused goes on to its end; one that is cancelled may end early."""
    claim, writing = in_pass(journal)
    journal.control_moves.pause(claim.run_id)
    writing.report('"half"')
    journal.control.cancel(claim.run_id)
    with pytest.raises(ControlAsked):
        writing.report('"more"')
    writing.close()
    assert '"half"' == run_row(journal, claim.run_id).details


def test_retry_by_hand_begins_without_the_cancel(journal: Journal) -> None:
    """Of a run that failed before its code was told, the old cancel does not matter any more."""
    claim, writing = in_pass(journal)
    journal.control.cancel(claim.run_id)
    writing.finish(RunStatus.FAILED, error='{"type":"E"}', why="failed", told=True)
    writing.close()

    journal.second_chances.retry(claim.run_id)

    row = run_row(journal, claim.run_id)
    assert ("queued", None, None, None) == (row.status, row.control, row.cancel_reason, row.cancelled_at)
    assert journal.control.cancel(claim.run_id, REASON).is_new


def test_cancel_in_a_transaction_of_the_callers(journal: Journal) -> None:
    """It exists exactly if that commits."""
    run_id = queued(journal)
    with journal.connections.transaction() as connection:
        assert journal.control.cancel_on(connection, run_id, REASON).is_new
        connection.rollback()
    assert "queued" == run_row(journal, run_id).status
    with journal.connections.transaction() as connection:
        journal.control.cancel_on(connection, run_id, REASON)
    assert "cancelled" == run_row(journal, run_id).status


@pytest.mark.parametrize(
    ("state", "verb", "statements"),
    [
        ("queued", "cancel", 3),
        ("running", "cancel", 3),
        ("sleeping", "cancel", 3),
        ("running", "pause", 2),
        ("sleeping", "pause", 2),
        ("paused", "resume", 2),
        ("sleeping", "wake", 4),
    ],
)
def test_what_is_asked_of_a_run_costs_few_statements(
    journal: Journal, state: str, verb: str, statements: int
) -> None:
    """And one commit."""
    run_id = STATES[state][0](journal)
    owner = journal.control if verb == "cancel" else journal.control_moves
    with counting(journal) as counted:
        getattr(owner, verb)(run_id)
    assert (statements, 1) == counted.cost


def test_cancel_of_a_fan_out_costs_the_same_for_many(journal: Journal) -> None:
    """What it has started is cancelled by one statement, whatever the number."""
    costs = []
    for count in (2, 60):
        parent = launched(journal, count)
        with counting(journal) as counted:
            journal.control.cancel(parent.id)
        costs.append(counted.cost)
    assert [(5, 1), (5, 1)] == costs
