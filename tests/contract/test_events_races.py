"""Sends stepped through whatever else moves a run: an event is there once, and wakes whoever waits for it once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from aiki_celery.errors import ClaimLost, RunFinished
from aiki_celery.journal.inbox.inbox import Delivery, Wanted
from aiki_celery.journal.journal import Journal
from aiki_celery.model.records import Claim
from aiki_celery.model.status import RunStatus, StepKind, StepStatus
from tests.contract.families import Parent, end, launched, taken, taken_over
from tests.contract.interleaving import Interleaving, Outcome
from tests.contract.rows import count, run_row, set_run, wipe
from tests.contract.stories import BOB, claimed, queued, step, token
from tests.harness.invariants import check_families

NAME = "ping"
WAITS = "waits for event 'ping'"

Explore = Callable[..., None]


@pytest.fixture(params=["one stops", "the other stops"])
def explore(request: pytest.FixtureRequest, journal: Journal) -> Explore:
    """Steps two different writers through one another, in either part."""
    return partial(step_through, journal, swapped=request.param != "one stops")


def step_through(
    journal: Journal,
    prepare: Callable[[], Any],
    one: Callable[[Any], Any],
    other: Callable[[Any], Any],
    check: Callable[[Any, Any, Any], None],
    *,
    swapped: bool = False,
) -> None:
    """Steps two writers through one another, the one or, if swapped, the other as who stops."""
    first, second = (other, one) if swapped else (one, other)

    def anew() -> Any:
        wipe(journal)
        return prepare()

    def judge(scene: Any, outcome: Outcome) -> None:
        ends = (outcome.second, outcome.first) if swapped else (outcome.first, outcome.second)
        check(scene, *ends)
        check_families(journal.connections.engine)

    Interleaving(journal, anew, first, second, judge).explore()


def send(journal: Journal, run_id: str, event_id: str = "id-1") -> Delivery:
    """Sends an event."""
    return journal.inbox.send(run_id, NAME, "1", event_id)


def wait(journal: Journal, claim: Claim, number: int = 1, due_at: int | None = None) -> bool:
    """Settles a run as waiting for so many events, none of which it knows; tells whether it waits."""
    expectations = [
        step(
            claim.epoch + place,
            epoch=claim.epoch,
            kind=StepKind.EVENT,
            name=NAME,
            address=f"event:{NAME}",
            status=StepStatus.WAITING,
            input=None,
            value=None,
            due_at=due_at,
        )
        for place in range(number)
    ]
    wanted = Wanted({NAME: number}, 0, due_at)
    return journal.launches.wait(claim, expectations, [], set(), number, WAITS, wanted)


def parked(journal: Journal, number: int = 1, due_in: float | None = None) -> Claim:
    """A run that waits for so many events."""
    claim = claimed(journal)
    due_at = None if due_in is None else claim.now + int(due_in * 1_000_000)
    assert wait(journal, claim, number, due_at)
    return claim


def woken_by(journal: Journal, run_id: str) -> list[str]:
    """Why a run was queued, each time after the first."""
    return [line.reason for line in journal.views.history(run_id)[1:] if line.status == "queued"]


def test_send_while_the_run_parks(journal: Journal, explore: Explore) -> None:
    """Either the run sees the event and does not wait, or the event wakes it: once, and never neither."""

    def check(claim: Claim, waited: Any, sent: Any) -> None:
        row = run_row(journal, claim.run_id)
        told = waited is True
        assert (1, told, ["event 'ping' has come"] * told, "queued" if told else "running") == (
            count(journal, "events"),
            sent.woken is not None,
            woken_by(journal, claim.run_id),
            row.status,
        ), (waited, sent)

    explore(
        lambda: claimed(journal),
        lambda claim: wait(journal, claim),
        lambda claim: send(journal, claim.run_id),
        check,
    )


def test_send_of_the_first_of_two_while_the_run_parks(journal: Journal, explore: Explore) -> None:
    """It is counted off by either side, and the run waits for one more."""

    def check(claim: Claim, waited: Any, sent: Any) -> None:
        row = run_row(journal, claim.run_id)
        assert (True, None, "awaiting_event", 1, '{"ping":1}', 1) == (
            waited,
            sent.woken,
            row.status,
            row.await_count,
            row.await_events,
            row.events,
        )

    explore(
        lambda: claimed(journal),
        lambda claim: wait(journal, claim, 2),
        lambda claim: send(journal, claim.run_id),
        check,
    )


@pytest.mark.parametrize("number", [1, 2])
def test_two_sends_at_once_to_a_run_that_waits(journal: Journal, number: int) -> None:
    """Both are taken, and one of them wakes it: the first if it waits for one, the last if for two."""

    def check(claim: Claim, one: Any, other: Any) -> None:
        row = run_row(journal, claim.run_id)
        assert ({1, 2}, 1, ["event 'ping' has come"], "queued", 0, 2) == (
            {one.number, other.number},
            sum(delivery.woken is not None for delivery in (one, other)),
            woken_by(journal, claim.run_id),
            row.status,
            row.await_count,
            row.events,
        )
        last = max(one, other, key=lambda delivery: delivery.number)
        assert (number == 2) == (last.woken is not None)

    step_through(
        journal,
        lambda: parked(journal, number),
        lambda claim: send(journal, claim.run_id, "id-1"),
        lambda claim: send(journal, claim.run_id, "id-2"),
        check,
    )


def test_one_id_sent_twice_at_once(journal: Journal) -> None:
    """It counts once, and wakes once."""

    def check(claim: Claim, one: Any, other: Any) -> None:
        assert ([False, True], 1, 1, ["event 'ping' has come"]) == (
            sorted([one.is_new, other.is_new]),
            count(journal, "events"),
            run_row(journal, claim.run_id).events,
            woken_by(journal, claim.run_id),
        )

    step_through(
        journal,
        lambda: parked(journal),
        lambda claim: send(journal, claim.run_id),
        lambda claim: send(journal, claim.run_id),
        check,
    )


def test_send_while_the_run_ends(journal: Journal) -> None:
    """It is there before the end, or refused after it: the sender knows which."""

    def finish(claim: Claim) -> None:
        writing = journal.begin_pass(claim)
        try:
            writing.finish(RunStatus.COMPLETED, output="1", why="over", told=True)
        finally:
            writing.close()

    def check(claim: Claim, sent: Any, finished: Any) -> None:
        assert (None, "completed") == (finished, run_row(journal, claim.run_id).status)
        if isinstance(sent, RunFinished):
            assert 0 == count(journal, "events")
        else:
            assert (True, None, 1) == (sent.is_new, sent.woken, count(journal, "events"))

    step_through(
        journal,
        lambda: claimed(journal),
        lambda claim: send(journal, claim.run_id),
        finish,
        check,
    )


def test_send_while_the_time_of_the_wait_comes(journal: Journal, explore: Explore) -> None:
    """The timer or the event queues the run: one of them."""

    def prepare() -> Claim:
        claim = parked(journal, due_in=3600)
        set_run(journal, claim.run_id, due_at=claim.now)
        return claim

    def check(claim: Claim, sent: Any, due: Any) -> None:
        by_event = sent.woken is not None
        if not by_event and not due:
            # The sweep found the row locked, and left it for its next look: then the event has woken it.
            raise AssertionError("nobody has queued it")
        assert (not by_event, ["event 'ping' has come" if by_event else "its time has come"], 1) == (
            bool(due),
            woken_by(journal, claim.run_id),
            count(journal, "events"),
        )

    explore(
        prepare,
        lambda claim: send(journal, claim.run_id),
        lambda claim: journal.timers.queue_due(["greet@1.0.0"], 10),
        check,
    )


def test_send_while_the_pass_records_that_the_time_is_over(journal: Journal) -> None:
    """Both are written; the record says that this wait got nothing, so the event is there for the next one."""

    def prepare() -> Claim:
        claim = parked(journal, due_in=0)
        again = journal.claims.claim(claim.run_id, *_bob())
        assert again is not None
        return again[0]

    def time_out(claim: Claim) -> None:
        writing = journal.begin_pass(claim)
        try:
            writing.append(
                step(
                    2, epoch=claim.epoch, kind=StepKind.TIMEOUT, name=NAME, address=f"event:{NAME}", value="1"
                )
            )
        finally:
            writing.close()

    def check(claim: Claim, sent: Any, timed_out: Any) -> None:
        assert (True, None, None, 1, 2) == (
            sent.is_new,
            sent.woken,
            timed_out,
            count(journal, "events"),
            count(journal, "steps"),
        )

    step_through(journal, prepare, lambda claim: send(journal, claim.run_id), time_out, check)


def test_send_while_the_run_is_claimed(journal: Journal, explore: Explore) -> None:
    """Who takes a queued run reads the event with it, or hears of it when it parks."""

    def take_and_wait(run_id: str) -> tuple[int, bool]:
        taken_run = journal.claims.claim(run_id, *_bob())
        assert taken_run is not None
        sees = len(taken_run[0].inbox)
        return sees, not sees and wait(journal, taken_run[0])

    def check(run_id: str, sent: Any, passed: Any) -> None:
        sees, waited = passed
        assert (waited, ["event 'ping' has come"] * waited, "queued" if waited else "running", False) == (
            sent.woken is not None,
            woken_by(journal, run_id),
            run_row(journal, run_id).status,
            bool(sees and waited),
        )

    explore(lambda: queued(journal), lambda run_id: send(journal, run_id), take_and_wait, check)


def test_send_while_the_run_is_taken_over(journal: Journal, explore: Explore) -> None:
    """Parking is refused, or the run waits and is woken; the event is there in either case."""

    def check(parent: Parent, sent: Any, heir: Any) -> None:
        assert (True, 1) == (sent.is_new, count(journal, "events"))
        if heir is None:  # the sweep found the row locked, and left it for its next look
            heir = taken_over(journal, parent)
        assert len(heir[0].inbox) <= 1
        if not heir[0].inbox:
            assert not wait(journal, heir[0])
        waited = _outcome(lambda: wait(journal, parent.claim))
        assert isinstance(waited, ClaimLost)

    explore(
        lambda: launched(journal, 0),
        lambda parent: send(journal, parent.id),
        lambda parent: taken_over(journal, parent),
        check,
    )


def test_send_and_the_end_of_a_step_that_are_both_waited_for(journal: Journal, explore: Explore) -> None:
    """The last of the two wakes the run, whichever it is."""

    def prepare() -> tuple[Parent, Claim]:
        parent = launched(journal, 1)
        wanted = Wanted({NAME: 1}, 0)
        assert journal.launches.wait(parent.claim, [], [], {1}, 2, WAITS, wanted)
        return parent, taken(journal, parent.children[1])

    def check(scene: Any, sent: Any, woken: Any) -> None:
        parent = scene[0]
        by_event = sent.woken is not None
        assert ([] if by_event else [parent.id], 1, 0, "queued") == (
            woken,
            len(woken_by(journal, parent.id)),
            run_row(journal, parent.id).await_count,
            run_row(journal, parent.id).status,
        )

    explore(
        prepare,
        lambda scene: send(journal, scene[0].id),
        lambda scene: end(journal, scene[1]),
        check,
    )


def _bob() -> tuple[Any, str]:
    return BOB, token()


def _outcome(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except BaseException as error:
        return error
