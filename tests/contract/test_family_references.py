"""Children by reference id: one run whoever comes first, followed by everybody else, who all hear of its end."""

from __future__ import annotations

from typing import Any

import pytest

from aiki_celery.errors import ClaimLost, ReferenceConflict
from aiki_celery.journal.journal import Journal
from aiki_celery.model.ids import child_run_id
from aiki_celery.model.records import Claim, NewChild, NewRun, StepRecord
from aiki_celery.model.status import RunKind, RunStatus, StepKind, StepStatus
from tests.contract.failing import lost_answer
from tests.contract.families import WAITS, end, taken, wake_ups
from tests.contract.interleaving import Interleaving, Outcome
from tests.contract.rows import count, run_row, wipe
from tests.contract.stories import ALICE, claimed, step

REFERENCE = "order-1"


def child_of(claim: Claim, place: int = 1, **facts: Any) -> tuple[StepRecord, NewChild]:
    """A start that is not written yet."""
    on_close = facts.pop("on_close", None)
    child_id = child_run_id(claim.run_id, place)
    record = step(
        place,
        epoch=claim.epoch,
        kind=StepKind.CHILD,
        name="ship",
        status=StepStatus.STARTED,
        input=None,
        value=None,
        child_id=child_id,
    )
    values: dict[str, Any] = {"input_hash": "same", "reference_id": REFERENCE} | facts
    run = NewRun(id=child_id, workflow="ship", version="1.0.0", input="{}", encoding=1, **values)
    return record, NewChild(run=run, kind=RunKind.WORKFLOW, parent_seq=place, on_close=on_close)


def start(journal: Journal, claim: Claim, place: int = 1, **facts: Any) -> tuple[str | None, bool]:
    """Starts a child by reference id; gives the id of the run it is, and whether that is new."""
    record, child = child_of(claim, place, **facts)
    written, is_new = journal.references.launch(claim, record, child, return_existing=False)
    return written.child_id, is_new


def start_plain(journal: Journal, claim: Claim, place: int = 1, **facts: Any) -> str:
    """Starts a child that has no reference id; gives its id."""
    record, child = child_of(claim, place, reference_id=None, **facts)
    journal.launches.launch(claim, [record], [child])
    return child.run.id


def wait(journal: Journal, claim: Claim, place: int = 1) -> bool:
    """Settles a parent as waiting for its child."""
    return journal.launches.wait(claim, [], [], {place}, 1, WAITS)


def close(journal: Journal, claim: Claim, status: RunStatus = RunStatus.COMPLETED) -> list[str]:
    """Ends a run that may have children; gives the ids of the runs that go on because of it."""
    writing = journal.begin_pass(claim)
    try:
        woken = writing.finish(status, output="1", why="over", told=True, closes=True)
    finally:
        writing.close()
    return [run.run_id for run in woken]


def test_the_second_parent_follows_the_first_ones_child(journal: Journal) -> None:
    """Both wait, and both are woken by its end."""
    one, two = claimed(journal), claimed(journal)
    child_id, is_new = start(journal, one)
    assert is_new
    assert (child_id, False) == start(journal, two)
    assert wait(journal, one)
    assert wait(journal, two)
    assert child_id is not None

    assert sorted([one.run_id, two.run_id]) == sorted(end(journal, taken(journal, child_id)))

    assert [1, 1] == [wake_ups(journal, claim.run_id) for claim in (one, two)]


def test_other_input_is_a_conflict_and_writes_nothing(journal: Journal) -> None:
    """The parent goes on, and may record that."""
    one, two = claimed(journal), claimed(journal)
    start(journal, one)
    before = count(journal, "runs"), count(journal, "steps"), run_row(journal, two.run_id).children
    with pytest.raises(ReferenceConflict):
        start(journal, two, input_hash="other")
    assert before == (count(journal, "runs"), count(journal, "steps"), run_row(journal, two.run_id).children)


def test_a_run_that_is_over_is_found_and_not_waited_for(journal: Journal) -> None:
    """Its outcome is there already."""
    one, two = claimed(journal), claimed(journal)
    child_id, _ = start(journal, one)
    assert child_id is not None
    end(journal, taken(journal, child_id))

    assert (child_id, False) == start(journal, two)

    assert not wait(journal, two)
    assert 1 == count(journal, "followers")


@pytest.mark.parametrize("is_there", [False, True])
def test_start_twice_is_one_start(journal: Journal, is_there: bool) -> None:
    """A lost answer: the second try finds what the first one wrote, be it a new run or a known one."""
    if is_there:
        start(journal, claimed(journal))
    claim = claimed(journal)
    with lost_answer(journal):
        child_id, is_new = start(journal, claim)
    facts = run_row(journal, claim.run_id).children, count(journal, "followers")
    assert (not is_there, 1, int(is_there)) == (is_new, *facts)
    assert 1 == [row.reference_id for row in (run_row(journal, child_id or ""),)].count(REFERENCE)


def test_a_parent_that_was_taken_over_starts_nothing(journal: Journal) -> None:
    """Its fence holds for starts by reference id too."""
    claim = claimed(journal)
    journal.recovery.free_process(ALICE.worker_id, ALICE.pid)
    with pytest.raises(ClaimLost):
        start(journal, claim)
    assert (1, 0) == (count(journal, "runs"), count(journal, "steps"))


def test_two_parents_that_start_it_at_once_get_one_run(journal: Journal) -> None:
    """Stepped through one another: whoever is first makes it, the other follows it."""

    def prepare() -> tuple[Claim, Claim]:
        wipe(journal)
        return claimed(journal), claimed(journal)

    def check(scene: tuple[Claim, Claim], outcome: Outcome) -> None:
        (one_id, one_is_new), (other_id, other_is_new) = outcome.first, outcome.second
        assert one_id == other_id
        assert [False, True] == sorted([one_is_new, other_is_new])
        assert (3, 2, 1) == (count(journal, "runs"), count(journal, "steps"), count(journal, "followers"))

    Interleaving(
        journal,
        prepare,
        lambda scene: start(journal, scene[0]),
        lambda scene: start(journal, scene[1]),
        check,
    ).explore()


# The end of a run that is nobody's child, and not followed yet, is one statement: there is no place within it.
@pytest.mark.parametrize(("is_child", "ends_first"), [(False, False), (True, False), (True, True)])
def test_following_while_the_run_ends(journal: Journal, is_child: bool, ends_first: bool) -> None:
    """Stepped through one another: the follower sees the end and does not wait, or is woken by it, once."""

    def prepare() -> tuple[Claim, Claim]:
        wipe(journal)
        if is_child:
            child_id, _ = start(journal, claimed(journal))
            assert child_id is not None
        else:
            child_id = journal.starts.insert(child_of(claimed(journal))[1].run)
        return claimed(journal), taken(journal, child_id)

    def follow(scene: tuple[Claim, Claim]) -> bool:
        start(journal, scene[0])
        return wait(journal, scene[0])

    def finish(scene: tuple[Claim, Claim]) -> list[str]:
        return end(journal, scene[1])

    def check(scene: tuple[Claim, Claim], outcome: Outcome) -> None:
        waited, woken = (outcome.second, outcome.first) if ends_first else (outcome.first, outcome.second)
        follower = scene[0].run_id
        assert isinstance(waited, bool), waited
        assert "completed" == run_row(journal, scene[1].run_id).status
        status = run_row(journal, follower).status
        assert ("queued" if waited else "running", int(waited)) == (status, wake_ups(journal, follower))
        assert ([follower] if waited else []) == [run_id for run_id in woken if run_id == follower]

    first, second = (finish, follow) if ends_first else (follow, finish)
    Interleaving[tuple[Claim, Claim]](journal, prepare, first, second, check).explore()


def test_children_end_with_their_parent_down_to_the_last(journal: Journal) -> None:
    """A cancelled child's own children and started steps end with it; an abandoned one's go on."""
    parent = claimed(journal)
    ends_with_it = start_plain(journal, parent, 1, on_close="cancel")
    goes_on = start_plain(journal, parent, 2)
    held = {run_id: taken(journal, run_id) for run_id in (ends_with_it, goes_on)}
    below = {run_id: start_plain(journal, claim, 1, on_close="cancel") for run_id, claim in held.items()}
    abandoned = start_plain(journal, held[ends_with_it], 2)

    assert [] == close(journal, parent)

    states = {run_id: run_row(journal, run_id).status for run_id in (*held, *below.values(), abandoned)}
    assert {
        # Its code has begun, and is asked to clean up.
        ends_with_it: "running",
        below[ends_with_it]: "cancelled",
        goes_on: "running",
        below[goes_on]: "queued",
        abandoned: "queued",
    } == states
    asked = {run_id: run_row(journal, run_id).control for run_id in held}
    assert {ends_with_it: "cancel", goes_on: None} == asked


def test_who_follows_a_cancelled_child_is_woken(journal: Journal) -> None:
    """A cancelled run is over for everybody who waits for it."""
    parent, follower = claimed(journal), claimed(journal)
    start(journal, parent, on_close="cancel")
    start(journal, follower)
    assert wait(journal, follower)

    assert [follower.run_id] == close(journal, parent)

    assert 1 == wake_ups(journal, follower.run_id)


def test_a_child_that_ends_while_its_parent_does(journal: Journal) -> None:
    """Stepped through one another: it is completed or cancelled, never both, and nobody waits for ever."""

    def prepare() -> tuple[Claim, Claim]:
        wipe(journal)
        parent = claimed(journal)
        return parent, taken(journal, start_plain(journal, parent, 1, on_close="cancel"))

    def check(scene: tuple[Claim, Claim], outcome: Outcome) -> None:
        assert "completed" == run_row(journal, scene[0].run_id).status
        state = run_row(journal, scene[1].run_id).status
        refused = isinstance(outcome.second, ClaimLost)
        assert ("cancelled" if refused else "completed") == state

    Interleaving(
        journal, prepare, lambda scene: close(journal, scene[0]), lambda scene: end(journal, scene[1]), check
    ).explore()


def test_a_hard_time_limit_tells_parents_and_ends_children(journal: Journal) -> None:
    """It is an end like any other."""
    parent, follower = claimed(journal), claimed(journal)
    child_id, _ = start(journal, parent)
    start(journal, follower)
    wait(journal, parent)
    wait(journal, follower)
    assert child_id is not None
    held = taken(journal, child_id)
    below = start_plain(journal, held, 1, on_close="cancel")
    owner = run_row(journal, child_id)

    woken = journal.recovery.fail_timed_out(child_id, owner.owner, owner.owner_pid, 1.0)

    assert sorted([parent.run_id, follower.run_id]) == sorted(run.run_id for run in woken)
    assert ("failed", "cancelled") == (run_row(journal, child_id).status, run_row(journal, below).status)


def test_cancel_of_some_of_many_counts_them_off(journal: Journal) -> None:
    """Who waits for others as well waits on, for fewer; who does not wait, or for others only, is left alone."""
    parent, other = claimed(journal), claimed(journal)
    followers = [claimed(journal) for _ in range(4)]
    for place in (1, 2):
        facts = {"reference_id": f"cancelled-{place}", "on_close": "cancel"}
        assert start(journal, parent, place, **facts)[1]
        assert [False] * 4 == [start(journal, one, place, **facts)[1] for one in followers]
    assert start(journal, other, 1, reference_id="kept")[1]
    assert [False] * 4 == [start(journal, one, 3, reference_id="kept")[1] for one in followers]
    waits = [({1, 2, 3}, 3), ({1, 3}, 1), ({3}, 1)]
    for one, (places, need) in zip(followers, waits, strict=False):
        assert journal.launches.wait(one, [], [], places, need, WAITS)

    woken = journal.control.cancel(parent.run_id, "not needed", force=True).envelopes

    assert [followers[1].run_id] == [run.run_id for run in woken]
    rows = [run_row(journal, one.run_id) for one in followers]
    assert [
        ("awaiting_steps", 1),
        ("queued", 0),
        ("awaiting_steps", 1),
        ("running", None),
    ] == [(row.status, row.await_count) for row in rows]
