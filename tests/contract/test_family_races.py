"""A run and those it has started, stepped through one another: no wake-up is lost, and none comes twice."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from aiki_celery.errors import ClaimLost
from aiki_celery.journal.journal import Journal
from aiki_celery.model.records import Claim
from aiki_celery.model.status import StepStatus
from tests.contract.families import (
    Parent,
    children_of,
    end,
    launched,
    run_through,
    starts,
    states,
    taken,
    taken_over,
    wait_for,
    waiting,
    wake_ups,
)
from tests.contract.interleaving import Interleaving, Outcome
from tests.contract.rows import run_row, wipe
from tests.contract.stories import BOB
from tests.harness.invariants import check_families

Scene = tuple[Parent, list[Claim]]
Writer = Callable[[Scene], Any]


@pytest.fixture(params=["one stops", "the other stops"])
def explore(request: pytest.FixtureRequest, journal: Journal) -> Callable[..., None]:
    """Steps two different writers through one another, in either part."""
    return partial(step_through, journal, swapped=request.param != "one stops")


def step_through(
    journal: Journal,
    prepare: Callable[[], Scene],
    one: Writer,
    other: Writer,
    check: Callable[[Scene, Any, Any], None],
    *,
    swapped: bool = False,
) -> None:
    """Steps two writers through one another, the one or, if swapped, the other as who stops."""
    first, second = (other, one) if swapped else (one, other)

    def anew() -> Scene:
        wipe(journal)
        return prepare()

    def judge(scene: Scene, outcome: Outcome) -> None:
        ends = (outcome.second, outcome.first) if swapped else (outcome.first, outcome.second)
        check(scene, *ends)
        check_families(journal.connections.engine)

    Interleaving(journal, anew, first, second, judge).explore()


def under_way(journal: Journal, parent: Parent, *places: int) -> Scene:
    """The parent, and these of its steps taken by the other worker."""
    return parent, [taken(journal, parent.children[place]) for place in places]


@pytest.mark.parametrize("over_before", [0, 1])
def test_last_end_while_the_parent_parks(
    journal: Journal, explore: Callable[..., None], over_before: int
) -> None:
    """Either the parent sees the end and does not wait, or the end wakes it: once, and never neither."""

    def prepare() -> Scene:
        parent = launched(journal, over_before + 1)
        for place in range(1, over_before + 1):
            run_through(journal, parent.children[place])
        return under_way(journal, parent, over_before + 1)

    def check(scene: Scene, waited: Any, woken: Any) -> None:
        parent, _ = scene
        told = [parent.id] if waited else []
        assert (told, len(told), "queued" if waited else "running") == (
            woken,
            wake_ups(journal, parent.id),
            run_row(journal, parent.id).status,
        )

    explore(
        prepare,
        lambda scene: wait_for(journal, scene[0].claim, set(scene[0].children)),
        lambda scene: end(journal, scene[1][0]),
        check,
    )


def test_two_last_ends_at_once(journal: Journal) -> None:
    """A parent that waits for two is woken by one of them alone."""

    def check(scene: Scene, one: Any, other: Any) -> None:
        parent, _ = scene
        assert ([parent.id], 1, 0, ("queued", ["completed"] * 2)) == (
            one + other,
            wake_ups(journal, parent.id),
            run_row(journal, parent.id).await_count,
            states(journal, parent),
        )

    step_through(
        journal,
        lambda: under_way(journal, waiting(journal, 2), 1, 2),
        lambda scene: end(journal, scene[1][0]),
        lambda scene: end(journal, scene[1][1]),
        check,
    )


def test_two_ends_at_once_of_which_one_is_waited_for(journal: Journal) -> None:
    """Who waits for the first of two is woken once, and its count does not go below zero."""

    def check(scene: Scene, one: Any, other: Any) -> None:
        parent, _ = scene
        assert ([parent.id], 1, 0, ("queued", ["completed"] * 2)) == (
            one + other,
            wake_ups(journal, parent.id),
            run_row(journal, parent.id).await_count,
            states(journal, parent),
        )

    step_through(
        journal,
        lambda: under_way(journal, waiting(journal, 2, need=1), 1, 2),
        lambda scene: end(journal, scene[1][0]),
        lambda scene: end(journal, scene[1][1]),
        check,
    )


@pytest.mark.parametrize("held", [1, 2])
def test_two_ends_in_a_lane_release_one_each(journal: Journal, held: int) -> None:
    """Two places get free at once: each end releases one that is held, the next in line, while there are any."""

    def check(scene: Scene, one: Any, other: Any) -> None:
        parent, _ = scene
        released = [parent.children[place] for place in range(3, 3 + held)]
        assert (released, "awaiting_steps", ["completed"] * 2 + ["queued"] * held) == (
            sorted(one + other),
            *states(journal, parent),
        )
        assert max(len(one), len(other)) == 1

    step_through(
        journal,
        lambda: under_way(journal, waiting(journal, 2 + held, lane=1, at_once=2), 1, 2),
        lambda scene: end(journal, scene[1][0]),
        lambda scene: end(journal, scene[1][1]),
        check,
    )


def test_end_while_the_parent_is_taken_over(journal: Journal, explore: Callable[..., None]) -> None:
    """Whoever holds the parent now sees the end in its record, or when it parks, or is woken by it."""

    def go_on(scene: Scene) -> tuple[bool, bool]:
        """As the next pass does: reads the record, and waits unless it says that the step is over."""
        parent, _ = scene
        held = taken_over(journal, parent)
        assert held is not None
        claim, record = held
        sees = record[0].status is StepStatus.COMPLETED
        return sees, not sees and wait_for(journal, claim, {1})

    def skipped(result: Any) -> bool:
        """Whether the sweep found the parent locked by the end, and left it for its next look."""
        return isinstance(result, AssertionError)

    def check(scene: Scene, passed: Any, woken: Any) -> None:
        parent, _ = scene
        if skipped(passed):
            assert ([], "running") == (woken, run_row(journal, parent.id).status)
            passed = go_on(scene)
        sees, waited = passed
        told = [parent.id] if waited else []
        assert (told, len(told), "queued" if waited else "running", sees and waited) == (
            woken,
            wake_ups(journal, parent.id),
            run_row(journal, parent.id).status,
            False,
        )

    explore(
        lambda: under_way(journal, launched(journal, 1), 1),
        go_on,
        lambda scene: end(journal, scene[1][0]),
        check,
    )


def test_parking_while_the_parent_is_taken_over(journal: Journal, explore: Callable[..., None]) -> None:
    """A parent waits, or is taken over: never both, and the one who came too late is told."""

    def check(scene: Scene, waited: Any, heir: Any) -> None:
        parent, _ = scene
        row = run_row(journal, parent.id)
        if heir is None:
            assert (True, "awaiting_steps", 1) == (waited, row.status, row.epoch)
        else:
            assert (ClaimLost, "running", BOB.worker_id, 2) == (
                type(waited),
                row.status,
                row.owner,
                row.epoch,
            )

    explore(
        lambda: (launched(journal, 1), []),
        lambda scene: wait_for(journal, scene[0].claim, {1}),
        lambda scene: taken_over(journal, scene[0]),
        check,
    )


def test_launch_while_the_parent_is_taken_over(journal: Journal, explore: Callable[..., None]) -> None:
    """What a parent starts is in its successor's record, or was never started."""

    def check(scene: Scene, launching: Any, heir: Any) -> None:
        parent, _ = scene
        written = [] if isinstance(launching, ClaimLost) else [1, 2]
        assert launching is None or isinstance(launching, ClaimLost)
        if heir is None:
            # The sweep found the row locked, and left it for its next look.
            heir = taken_over(journal, parent)
        assert (written, written, len(written)) == (
            [record.seq for record in heir[1]],
            [row.parent_seq for row in children_of(journal, parent.id)],
            run_row(journal, parent.id).children,
        )

    explore(
        lambda: (launched(journal, 0), []),
        lambda scene: journal.launches.launch(scene[0].claim, *starts(scene[0].claim, [1, 2])),
        lambda scene: taken_over(journal, scene[0]),
        check,
    )


def test_end_of_a_step_that_is_taken_away(journal: Journal, explore: Callable[..., None]) -> None:
    """A step whose process counts as dead ends, and is counted off, or is run again: never both."""

    def free(scene: Scene) -> list[str]:
        return [run.run_id for run in journal.recovery.free_process(BOB.worker_id, BOB.pid)[0]]

    def check(scene: Scene, woken: Any, freed: Any) -> None:
        parent, _ = scene
        if freed:
            assert isinstance(woken, ClaimLost)
            assert (0, 1, ("awaiting_steps", ["queued"])) == (
                wake_ups(journal, parent.id),
                run_row(journal, parent.id).await_count,
                states(journal, parent),
            )
        else:
            assert ([parent.id], ("queued", ["completed"])) == (woken, states(journal, parent))

    explore(
        lambda: under_way(journal, waiting(journal, 1), 1),
        lambda scene: end(journal, scene[1][0]),
        free,
        check,
    )
