"""Limits: what exceeds them is refused with a clear error, and nothing is lost or half written."""

from __future__ import annotations

from typing import Any

import pytest

from aiki_celery import (
    ChildLimitExceeded,
    PayloadTooLarge,
    Retry,
    StepLimitExceeded,
    TaskFailed,
    WorkflowRun,
    current_step,
    event,
    task,
    workflow,
)
from aiki_celery.journal.journal import Journal
from aiki_celery.model.status import RunStatus
from tests.contract.families import children_of
from tests.contract.house import House
from tests.contract.rows import count, run_row

TEN_MEGABYTES = "x" * 10_000_000

told = event("limits-told", str)


@task(name="limits-echo")
def echo(text: str) -> int:
    return len(text)


@task(name="limits-blow")
def blow(size: int) -> str:
    return "x" * size


@task(name="limits-beat")
def beat(size: int) -> str:
    current_step().heartbeat("x" * size)
    return "beaten"


@task(name="limits-one")
def one(number: int) -> int:
    return number


#: Attempts that were made.
attempts: list[str] = []


def _try(what: str) -> str:
    attempts.append(what)
    if len(attempts) < 2:
        raise ValueError(what)
    return what


AGAIN = Retry.fixed(3, 0.001)
TRYING = [
    task(name="limits-try", retry=AGAIN)(_try),
    task(name="limits-try-transactional", retry=AGAIN, transactional=True)(_try),
    task(name="limits-try-once", at_most_once=True)(_try),
]


@workflow(name="limits-falling-back")
def falling_back(run: WorkflowRun, how: int) -> int:
    """Under a key set by hand: what is too large, and instead of that something small."""
    known = echo.options(key="upload")
    do = (known.run, lambda run, text: known.start(run, text).result(), child.options(key="upload").run)[how]
    try:
        do(run, TEN_MEGABYTES)
    except PayloadTooLarge:
        one.run(run, 1)
        do(run, "small")
    run.sleep(0.001)
    return one.run(run, 2)


@workflow(name="limits-trying")
def trying(run: WorkflowRun, which: int) -> str:
    try:
        return TRYING[which].run(run, "a")
    except StepLimitExceeded:
        return "no room"


@workflow(name="limits-child")
def child(run: WorkflowRun, text: str) -> int:
    return len(text)


@workflow(name="limits-large")
def large(run: WorkflowRun) -> list[str]:
    """Everything that can be too large, each refused, and the run goes on."""
    refused = []
    ways: list[Any] = [
        lambda: echo.run(run, TEN_MEGABYTES),
        lambda: echo.start(run, TEN_MEGABYTES),
        lambda: child.start(run, TEN_MEGABYTES),
        lambda: blow.run(run, 10_000_000),
        lambda: beat.run(run, 10_000_000),
        lambda: blow.start(run, 10_000_000).result(),
    ]
    for way in ways:
        try:
            way()
        except PayloadTooLarge as error:
            refused.append(f"{error.definition}: {error.what}")
        except TaskFailed as error:
            refused.append(f"{error.task}: {error.type}")
    return [*refused, beat.run(run, 10)]


@workflow(name="limits-mapping")
def mapping(run: WorkflowRun, times: int) -> list[int]:
    """Maps until it may not, and goes on with what it has."""
    done = []
    for part in range(times):
        try:
            done += run.map(one, [part * 10 + number for number in range(4)])
        except ChildLimitExceeded as error:
            done += [-error.started, -error.more, -error.limit]
            one.run(run, 99)
            run.sleep(0)
    return done


@workflow(name="limits-starting")
def starting(run: WorkflowRun) -> int:
    return sum(run.gather(*[one.start(run, number) for number in range(5)]))


@workflow(name="limits-renewing")
def renewing(run: WorkflowRun, left: int) -> int:
    total = sum(run.map(one, [1, 2, 3, 4]))
    if left:
        run.continue_as_new(left - 1)
    return total


def test_ten_megabytes_are_refused_wherever_they_are_given(journal: Journal) -> None:
    """As an input, a result, a report, the input of a child; the error names what it is and the setting."""
    house = House(journal)
    with pytest.raises(
        PayloadTooLarge, match=r"limits-child: the input has 10,000,0.. bytes .*aiki_max_payload"
    ):
        house.binding.starter.new_run(child, (TEN_MEGABYTES,), {}, child._options, "q")
    refused = house.result_of(large)
    assert [
        "limits-echo: the input",
        "limits-echo: the input",
        "limits-child: the input",
        "limits-blow: PayloadTooLarge",
        "limits-beat: PayloadTooLarge",
        "limits-blow: PayloadTooLarge",
        "beaten",
    ] == refused


def test_event_of_ten_megabytes_is_refused(journal: Journal) -> None:
    """Nothing is in the inbox."""
    house = House(journal)
    run_id = house.enqueue(child, "a")
    with pytest.raises(PayloadTooLarge, match="limits-told"):
        house.binding.sender.send(run_id, child.name, told, TEN_MEGABYTES, None)
    assert 0 == count(journal, "events")


def test_map_beyond_the_limit_starts_nothing(journal: Journal) -> None:
    """And a replay is told the same, though more is recorded since."""
    house = House(journal, max_children=10)
    assert [0, 1, 2, 3, 10, 11, 12, 13, -8, -4, -10] == house.result_of(mapping, 3)
    [run] = [row for row in journal.views.find() if row.kind == "workflow"]
    assert 8 == len(children_of(journal, run.id))


def test_start_beyond_the_limit_fails_the_run_with_a_remedy(journal: Journal) -> None:
    """What had been started before goes on; a higher setting and a retry by hand complete the run."""
    house = House(journal, max_children=4)
    run_id = house.enqueue(starting)
    house.drain()
    row = run_row(journal, run_id)
    assert RunStatus.FAILED == row.status
    assert "aiki_max_children (4)" in row.reason
    assert ["completed"] * 4 == [one.status for one in children_of(journal, run_id)]
    more = House(journal, max_children=5)
    again = journal.second_chances.retry(run_id)
    assert again is not None
    more.publish([again])
    more.drain()
    assert ("completed", "10") == ((row := run_row(journal, run_id)).status, row.output)


def test_limit_of_children_is_one_of_a_generation(journal: Journal) -> None:
    """A run that continues as new may start as many again."""
    assert 10 == House(journal, max_children=4).result_of(renewing, 3)


@pytest.mark.parametrize(("which", "made"), [(0, ["a"]), (1, ["a"]), (2, [])], ids=lambda value: str(value))
def test_attempt_is_not_made_without_room_for_what_comes_of_it(
    journal: Journal, which: int, made: list[str]
) -> None:
    """What would be done and not be recorded is not done; with room for it, it is."""
    attempts.clear()
    assert "no room" == House(journal, max_steps=1).result_of(trying, which)
    assert made == attempts
    attempts[:] = ["one that failed"] if which == 2 else []
    assert "a" == House(journal, max_steps=2).result_of(trying, which)


@pytest.mark.parametrize("how", [0, 1, 2], ids=["inline", "started", "a child"])
def test_input_refused_under_a_key_is_refused_on_a_replay(journal: Journal, how: int) -> None:
    """The address says nothing of the input: what the small one has recorded there is not of the large one."""
    assert 2 == House(journal).result_of(falling_back, how)
