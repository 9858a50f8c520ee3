"""Control and what a run does by itself, stepped through one another in every order."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from aiki_celery.errors import ClaimLost, RunFinished, WrongState
from aiki_celery.journal.asked import ControlAsked
from aiki_celery.journal.control.cancels import Acknowledged
from aiki_celery.journal.journal import Journal
from aiki_celery.model.records import Claim
from aiki_celery.model.status import RunStatus, StepKind
from tests.contract.controlled import REASON, facts, kinds, paused, sleep_of, sleeping
from tests.contract.families import end, launched, starts, taken, waiting
from tests.contract.interleaving import Interleaving, Outcome
from tests.contract.rows import run_row, wipe
from tests.contract.stories import BOB, claimed, queued, step, token
from tests.harness.invariants import check_families

Writer = Callable[[Any], Any]
Explore = Callable[..., None]


@pytest.fixture(params=["one stops", "the other stops"])
def explore(request: pytest.FixtureRequest, journal: Journal) -> Explore:
    """Steps two writers through one another, in either part."""
    return partial(_step_through, journal, swapped=request.param != "one stops")


def _step_through(
    journal: Journal,
    prepare: Callable[[], Any],
    one: Writer,
    other: Writer,
    check: Callable[[Any, Any, Any], None],
    *,
    swapped: bool,
    is_one_statement: bool = False,
) -> None:
    """Steps two writers through one another; there is no place within the other if it is one statement."""
    if swapped and is_one_statement:
        pytest.skip("one statement: there is no place within it")
    first, second = (other, one) if swapped else (one, other)

    def anew() -> Any:
        wipe(journal)
        return prepare()

    def judge(scene: Any, outcome: Outcome) -> None:
        ends = (outcome.second, outcome.first) if swapped else (outcome.first, outcome.second)
        check(scene, *ends)
        check_families(journal.connections.engine)

    Interleaving(journal, anew, first, second, judge).explore()


def cancelling(journal: Journal) -> Callable[[Claim], Acknowledged]:
    """Cancels the run of a claim."""
    return lambda claim: journal.control.cancel(claim.run_id, REASON)


def test_cancel_while_the_run_ends(journal: Journal, explore: Explore) -> None:
    """U3: the outcome stands; the cancel was acknowledged before it, or is refused after it."""

    def finish(claim: Claim) -> None:
        writing = journal.begin_pass(claim)
        try:
            writing.finish(RunStatus.COMPLETED, output="1", why="over", told=True)
        finally:
            writing.close()

    def check(claim: Claim, done: Any, ended: Any) -> None:
        assert ended is None, ended
        row = run_row(journal, claim.run_id)
        assert ("completed", None) == (row.status, row.control)
        is_late = isinstance(done, RunFinished)
        assert is_late or done.is_new
        assert is_late == (row.cancelled_at is None)

    explore(partial(claimed, journal), cancelling(journal), finish, check, is_one_statement=True)


def test_cancel_while_the_run_parks(journal: Journal, explore: Explore) -> None:
    """It is parked and then queued, or hears of it instead of parking: nobody sleeps who was to end."""

    def park(claim: Claim) -> None:
        writing = journal.begin_pass(claim)
        record = sleep_of(claim.now, claim.now + 3_600_000_000)
        try:
            writing.park(RunStatus.SLEEPING, (record,), due_at=record.due_at or 0, why="naps", attempt=1)
        finally:
            writing.close()

    def check(claim: Claim, done: Acknowledged, parked: Any) -> None:
        assert done.is_new
        heard = isinstance(parked, ControlAsked)
        assert heard or parked is None, parked
        expected = ("running", []) if heard else ("queued", [StepKind.SLEEP])
        assert expected == (run_row(journal, claim.run_id).status, kinds(journal, claim.run_id))
        assert "cancel" == run_row(journal, claim.run_id).control
        assert heard == (not done.envelopes)

    explore(partial(claimed, journal), cancelling(journal), park, check)


def test_cancel_while_the_run_waits_for_what_it_starts(journal: Journal, explore: Explore) -> None:
    """What it starts with the wait is cancelled, or was never written."""

    def wait(claim: Claim) -> Any:
        records, children = starts(claim, [1, 2])
        return journal.launches.wait(claim, records, children, {1, 2}, 2, "waits")

    def check(claim: Claim, done: Acknowledged, waits: Any) -> None:
        assert done.is_new
        heard = isinstance(waits, ControlAsked)
        assert heard or waits is True, waits
        status = [view.status for view in journal.views.find(parent_id=claim.run_id)]
        assert ([] if heard else [RunStatus.CANCELLED] * 2) == status
        assert ("running" if heard else "queued") == run_row(journal, claim.run_id).status

    explore(partial(claimed, journal), cancelling(journal), wait, check)


def test_cancel_while_the_run_starts_others(journal: Journal, explore: Explore) -> None:
    """No started step is left that would go on after the cancel was acknowledged (I11)."""

    def launch(claim: Claim) -> None:
        records, children = starts(claim, [1, 2])
        journal.launches.launch(claim, records, children)

    def check(claim: Claim, done: Acknowledged, launched: Any) -> None:
        heard = isinstance(launched, ControlAsked)
        assert heard or launched is None, launched
        live = [view for view in journal.views.find(parent_id=claim.run_id) if not view.status.is_terminal]
        assert [] == live

    explore(partial(claimed, journal), cancelling(journal), launch, check)


@pytest.mark.parametrize("verb", ["pause", "cancel"])
def test_control_while_the_run_writes(journal: Journal, explore: Explore, verb: str) -> None:
    """The record is there, or the pass has heard; and what it heard of is kept with the next transaction."""

    def ask(claim: Claim) -> Acknowledged:
        if verb == "pause":
            return journal.control_moves.pause(claim.run_id)
        return journal.control.cancel(claim.run_id, REASON)

    def append(claim: Claim) -> None:
        writing, record = journal.begin_pass(claim), step(1)
        try:
            writing.append(record)
        except ControlAsked:
            if verb == "pause":
                assert journal.obedience.pause(claim, [record], 1, "paused by hand")
            else:
                assert journal.obedience.cancel(claim, [record], [], [], claim.now) is not None
            raise
        finally:
            writing.close()

    def check(claim: Claim, done: Acknowledged, written: Any) -> None:
        assert done.is_new
        heard = isinstance(written, ControlAsked)
        assert heard or written is None, written
        expected = [StepKind.TASK] + [StepKind.CANCEL] * (heard and verb == "cancel")
        assert expected == kinds(journal, claim.run_id)
        status = "paused" if heard and verb == "pause" else "running"
        assert (status, None if heard else verb) == facts(journal, claim.run_id)[:2]

    explore(partial(claimed, journal), ask, append, check, is_one_statement=True)


def test_cancel_while_the_run_is_taken(journal: Journal, explore: Explore) -> None:
    """It never begins, or whoever takes it hears of it: at once, or by its first write."""

    def take(run_id: str) -> Any:
        return journal.claims.claim(run_id, BOB, token())

    def check(run_id: str, done: Acknowledged, found: Any) -> None:
        assert done.is_new
        row = run_row(journal, run_id)
        if found is None:
            assert ("cancelled", 0) == (row.status, row.epoch)
        else:
            assert ("running", "cancel") == (row.status, row.control)

    explore(
        lambda: queued(journal),
        lambda run_id: journal.control.cancel(run_id, REASON),
        take,
        check,
        is_one_statement=True,
    )


@pytest.mark.parametrize("waits", [False, True])
def test_cancel_of_a_parent_while_its_step_ends(journal: Journal, explore: Explore, waits: bool) -> None:
    """I17: the step is over one way or the other, and the parent is on its way, once."""

    def prepare() -> tuple[str, Claim]:
        parent = waiting(journal, 1) if waits else launched(journal, 1)
        return parent.id, taken(journal, parent.children[1])

    def check(scene: tuple[str, Claim], done: Acknowledged, woken: Any) -> None:
        parent_id, claim = scene
        assert done.is_new
        step_status = run_row(journal, claim.run_id).status
        assert ("cancelled" if isinstance(woken, ClaimLost) else "completed") == step_status
        expected = "queued" if waits else "running"
        assert (expected, "cancel") == (
            run_row(journal, parent_id).status,
            run_row(journal, parent_id).control,
        )
        if waits:
            messages = [envelope.run_id for envelope in done.envelopes]
            messages += [] if isinstance(woken, ClaimLost) else woken
            assert [parent_id] == messages

    explore(
        prepare,
        lambda scene: journal.control.cancel(scene[0], REASON),
        lambda scene: end(journal, scene[1]),
        check,
    )


def test_cancel_of_a_step_while_it_ends(journal: Journal, explore: Explore) -> None:
    """Its parent is woken once, and sees the one or the other."""

    def prepare() -> tuple[str, Claim]:
        parent = waiting(journal, 1)
        return parent.id, taken(journal, parent.children[1])

    def check(scene: tuple[str, Claim], done: Any, woken: Any) -> None:
        parent_id, claim = scene
        if isinstance(done, RunFinished):
            assert ([parent_id], "completed") == (woken, run_row(journal, claim.run_id).status)
        else:
            assert isinstance(woken, ClaimLost)
            assert "cancelled" == run_row(journal, claim.run_id).status
            assert [parent_id] == [envelope.run_id for envelope in done.envelopes]
        assert "queued" == run_row(journal, parent_id).status

    explore(
        prepare,
        lambda scene: journal.control.cancel(scene[1].run_id, REASON),
        lambda scene: end(journal, scene[1]),
        check,
    )


def test_cancel_of_a_parent_and_of_its_child(journal: Journal, explore: Explore) -> None:
    """Both are acknowledged, the child's once, and neither waits for the other."""

    def prepare() -> tuple[str, str]:
        parent = waiting(journal, 1)
        return parent.id, parent.children[1]

    def check(scene: tuple[str, str], one: Acknowledged, other: Acknowledged) -> None:
        parent_id, child_id = scene
        assert one.is_new, one
        assert isinstance(other, Acknowledged), other
        assert ("queued", "cancelled") == (
            run_row(journal, parent_id).status,
            run_row(journal, child_id).status,
        )
        assert "cancel" == run_row(journal, parent_id).control

    explore(
        prepare,
        lambda scene: journal.control.cancel(scene[0], REASON),
        lambda scene: journal.control.cancel(scene[1], REASON),
        check,
    )


def test_two_cancels(journal: Journal) -> None:
    """One of them is the first; one message is sent."""

    def prepare() -> str:
        wipe(journal)
        return sleeping(journal)

    def check(run_id: str, outcome: Outcome) -> None:
        done = [outcome.first, outcome.second]
        assert [False, True] == sorted(one.is_new for one in done)
        assert 1 == sum(len(one.envelopes) for one in done)
        assert ("queued", "cancel", REASON) == facts(journal, run_id)

    cancel = partial(journal.control.cancel, reason=REASON)
    Interleaving(journal, prepare, cancel, cancel, check).explore()


def test_resume_while_a_worker_comes_by(journal: Journal, explore: Explore) -> None:
    """It is taken after it was resumed, or not at all; and then its message is on its way."""

    def take(run_id: str) -> Any:
        return journal.claims.claim(run_id, BOB, token())

    def check(run_id: str, done: Acknowledged, found: Any) -> None:
        assert (True, [run_id]) == (done.is_new, [envelope.run_id for envelope in done.envelopes])
        assert ("queued" if found is None else "running") == run_row(journal, run_id).status

    explore(partial(paused, journal), journal.control_moves.resume, take, check, is_one_statement=True)


def test_resume_while_the_pause_is_heeded(journal: Journal, explore: Explore) -> None:
    """The run goes on where it is, or is paused and queued: it is not left paused."""

    def prepare() -> Claim:
        claim = claimed(journal)
        journal.control_moves.pause(claim.run_id)
        return claim

    def heed(claim: Claim) -> bool:
        return journal.obedience.pause(claim, [step(1)], 1, "paused by hand")

    def check(claim: Claim, done: Acknowledged, was_paused: Any) -> None:
        assert done.is_new
        status = "queued" if was_paused else "running"
        assert (status, None) == facts(journal, claim.run_id)[:2]
        assert [StepKind.TASK] * bool(was_paused) == kinds(journal, claim.run_id)

    explore(prepare, lambda claim: journal.control_moves.resume(claim.run_id), heed, check)


def test_cancel_while_a_pause_is_heeded(journal: Journal, explore: Explore) -> None:
    """The cancel prevails: it is asked of the pass, or the paused run is queued for it."""

    def prepare() -> Claim:
        claim = claimed(journal)
        journal.control_moves.pause(claim.run_id)
        return claim

    def heed(claim: Claim) -> bool:
        return journal.obedience.pause(claim, [step(1)], 1, "paused by hand")

    def check(claim: Claim, done: Acknowledged, was_paused: Any) -> None:
        assert done.is_new
        expected = ("queued" if was_paused else "running", "cancel", REASON)
        assert expected == facts(journal, claim.run_id)
        assert bool(was_paused) == bool(done.envelopes)

    explore(prepare, cancelling(journal), heed, check)


def test_wake_while_its_time_comes(journal: Journal, explore: Explore) -> None:
    """It is queued once: by hand, and then it says so; or by the sweep, and then nobody has to wake it."""

    def sweep(_: str) -> list[str]:
        return [run.run_id for run in journal.timers.queue_due(["greet@1.0.0"], 10)]

    def check(run_id: str, woken: Any, queued: list[str]) -> None:
        by_hand = isinstance(woken, Acknowledged)
        assert by_hand or isinstance(woken, WrongState), woken
        assert ([] if by_hand else [run_id]) == queued
        expected = [StepKind.SLEEP] + [StepKind.WAKE] * by_hand
        assert ("queued", expected) == (run_row(journal, run_id).status, kinds(journal, run_id))

    explore(lambda: sleeping(journal, due_in=-1.0), journal.control_moves.wake, sweep, check)


def test_cancel_while_its_parent_ends(journal: Journal, explore: Explore) -> None:
    """Asked once, by the one or the other; and its own end finds nobody waiting."""

    def prepare() -> tuple[Claim, str]:
        parent = launched(journal, 1, on_close="cancel")
        return parent.claim, parent.children[1]

    def finish(scene: tuple[Claim, str]) -> Any:
        writing = journal.begin_pass(scene[0])
        try:
            return writing.finish(RunStatus.COMPLETED, output="1", why="over", told=True, closes=True)
        finally:
            writing.close()

    def check(scene: tuple[Claim, str], done: Any, ended: Any) -> None:
        assert isinstance(ended, list), ended
        assert isinstance(done, Acknowledged), done
        assert ("completed", "cancelled") == (
            run_row(journal, scene[0].run_id).status,
            run_row(journal, scene[1]).status,
        )

    explore(prepare, lambda scene: journal.control.cancel(scene[1], REASON), finish, check)
