"""The workflows that are killed, and what may be different about their effects after a crash."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from aiki_celery import OutcomeUnknown, Retry, TaskFailed, Workflow, WorkflowRun, current_step, task, workflow
from tests.crash.approving import approving
from tests.crash.booking import entering
from tests.crash.controlling import giving_up, held_up
from tests.crash.planned import planned
from tests.crash.renewing import renewed
from tests.crash.undoing import given_up, not_undone, undone, undone_again
from tests.harness.telling import tell

#: Longest retry delay that is slept in the process, in these tests.
INLINE_WAIT = 0.03


class Declined(Exception):
    """A declared error."""


@task(name="crash-act")
def act(what: str) -> str:
    tell("act", what=what)
    return f"{what} done"


@task(name="crash-fetch")
async def fetch(url: str) -> str:
    await asyncio.sleep(0)
    tell("fetch", url=url)
    return f"{url} fetched"


@task(name="crash-declined", raises=[Declined])
def declined(order: str) -> str:
    tell("declined", order=order)
    raise Declined(order)


@task(name="crash-broken", retry=Retry.fixed(2, 0.005))
def broken(order: str) -> str:
    tell("broken", order=order)
    raise RuntimeError("never works")


@task(name="crash-broken-later", retry=Retry.fixed(2, INLINE_WAIT * 2))
def broken_later(order: str) -> str:
    tell("broken", order=order)
    raise RuntimeError("never works")


@task(name="crash-unlucky", raises=[Declined])
def unlucky(attempt: int) -> str:
    tell("unlucky", tried=attempt)
    if attempt == 1:
        raise Declined("the first time")
    return "lucky"


@task(name="crash-flaky-soon", retry=Retry.fixed(3, INLINE_WAIT / 3))
def flaky_soon(order: str) -> int:
    return _third_time(order)


@task(name="crash-flaky-later", retry=Retry.exponential(3, INLINE_WAIT * 2))
def flaky_later(order: str) -> int:
    return _third_time(order)


@task(name="crash-wire", at_most_once=True)
def wire(amount: int) -> str:
    tell("wire", amount=amount)
    return "wired"


@task(name="crash-note")
def note(drawn: list[str]) -> None:
    tell("note", drawn=drawn)


@workflow(name="crash-plain")
def plain(run: WorkflowRun) -> list[str]:
    return [act.run(run, "charge"), act.run(run, "pack"), act.run(run, "ship")]


@workflow(name="crash-compensated")
def compensated(run: WorkflowRun) -> str:
    act.run(run, "reserve")
    try:
        return declined.run(run, "o-1")
    except Declined:
        return act.run(run, "release")


@workflow(name="crash-failing")
def failing(run: WorkflowRun) -> str:
    act.run(run, "reserve")
    try:
        return broken.run(run, "o-1")
    except TaskFailed:
        act.run(run, "release")
        raise


@workflow(name="crash-retried-inline")
def retried_inline(run: WorkflowRun) -> int:
    act.run(run, "before")
    return flaky_soon.run(run, "o-1")


@workflow(name="crash-retried-durably")
def retried_durably(run: WorkflowRun) -> int:
    act.run(run, "before")
    return flaky_later.run(run, "o-1")


@workflow(name="crash-sleeping")
def sleeping(run: WorkflowRun) -> str:
    act.run(run, "before")
    run.sleep(0.04, name="cool-down")
    run.sleep(0.02, name="cool-down")
    return act.run(run, "after")


@workflow(name="crash-at-most-once")
def at_most_once(run: WorkflowRun) -> str:
    act.run(run, "before")
    try:
        result = wire.run(run, 100)
    except OutcomeUnknown:
        result = "unknown"
    act.run(run, "after")
    return result


@workflow(name="crash-tried-again", retry=Retry.fixed(3, 0.02))
def tried_again(run: WorkflowRun) -> str:
    act.run(run, "once")
    if run.attempt == 1:
        raise RuntimeError("not yet")
    if run.attempt == 2:
        declined.run(run, "o-1")
    return act.run(run, "last")


@workflow(name="crash-facts")
def facts(run: WorkflowRun) -> str:
    drawn = [run.now().isoformat(), str(run.uuid4()), repr(run.random())]
    note.run(run, drawn)
    run.sleep(0.02)
    note.run(run, drawn)
    return "noted"


@workflow(name="crash-started")
def started(run: WorkflowRun) -> list[str]:
    """Starts that are waited for at once, between inline steps, and not at all."""
    futures = [act.start(run, what) for what in ("pack", "wrap")]
    act.run(run, "charge")
    later = act.start(run, "label")
    act.start(run, "advertise")
    return [*run.gather(*futures), later.result(), act.run(run, "ship")]


@workflow(name="crash-started-failing")
def started_failing(run: WorkflowRun) -> list[str]:
    """Of four, two give up, one of them after a durable retry, and one works the third time."""
    futures: list[Any] = [
        declined.start(run, "o-1"),
        act.start(run, "pack"),
        broken_later.start(run, "o-2"),
        flaky_later.start(run, "o-3"),
    ]
    outcomes = run.gather(*futures, return_exceptions=True)
    return [type(outcomes[0]).__name__, *map(str, outcomes[1:]), act.run(run, "release")]


@workflow(name="crash-first")
def first_of_lanes(run: WorkflowRun) -> list[str]:
    """Three, two of them at once; beside them two of which one is first, decided once, whoever it is."""
    futures = [act.start(run, what) for what in ("left", "right")]
    winner = run.first(*futures)
    other = futures[1 - futures.index(winner)]
    mapped = run.map(act, ["a", "b", "c"], max_concurrency=2)
    return [*sorted([winner.result(), other.result()]), *mapped]


@workflow(name="crash-started-again", retry=Retry.fixed(2, 0.02))
def started_again(run: WorkflowRun) -> list[str]:
    """The whole workflow is tried again: the sibling that is done stays done."""
    futures = [act.start(run, "kept"), unlucky.start(run, run.attempt)]
    return run.gather(*futures)


@workflow(name="crash-started-once")
def started_once(run: WorkflowRun) -> list[str]:
    """An at-most-once step that is started: after a crash in it, its outcome is unknown."""
    try:
        return [wire.start(run, 100).result()]
    except OutcomeUnknown:
        return ["unknown"]


@workflow(name="crash-awaited")
def awaited(run: WorkflowRun) -> list[str]:
    """Async tasks, here and there."""
    other = fetch.start(run, "there")
    return [fetch.run(run, "here"), other.result()]


def _third_time(order: str) -> int:
    attempt = current_step().attempt
    tell("flaky", order=order)
    if attempt < 3:
        raise ConnectionError(f"attempt {attempt}")
    return attempt


#: The first, the middle and the last event of each kind; all of these on SQLite, and on a server the middle one alone;
#: the middle one alone; that on SQLite, and nothing on a server.
ALL, MOSTLY, ONE, ONE_LOCALLY = "all", "mostly", "one", "one locally"


@dataclass(frozen=True)
class Scenario:
    """A workflow, and the tries its tasks have.

    Attributes:
        workflow: What is run; takes no arguments.
        max_attempts: Of its tasks, by name.
        other_output: Another result that is right after a crash, as JSON text.
        points: At which events of a kind it is killed.
    """

    workflow: Workflow[..., Any]
    max_attempts: dict[str, int]
    other_output: str | None = None
    points: str = ALL


def effect_facts(effect: dict[str, Any]) -> tuple[Any, ...]:
    """What an effect is known by in every run of its scenario."""
    told = {name: fact for name, fact in effect.items() if name not in ("at", "pid", "key", "drawn")}
    return tuple(sorted(told.items()))


ONCE = {"crash-act": 1, "crash-fetch": 1, "crash-declined": 1, "crash-note": 1, "crash-wire": 1}
ONCE |= {"crash-poll": 1, "crash-count": 1}
ONCE |= {"crash-send": 1, "crash-note-approval": 1}
ONCE |= {"crash-book": 1, "crash-cancel": 1, "crash-leave-it": 1}
ONCE |= {"crash-enter": 1, "crash-open": 1}
ONCE |= {"crash-do": 1, "crash-give-up": 1, "crash-hold-on": 1}
SCENARIOS: dict[str, Scenario] = {
    "plain": Scenario(plain, ONCE),
    "compensated": Scenario(compensated, ONCE),
    "failing": Scenario(failing, ONCE | {"crash-broken": 2}),
    "retried_inline": Scenario(retried_inline, ONCE | {"crash-flaky-soon": 3}),
    "retried_durably": Scenario(retried_durably, ONCE | {"crash-flaky-later": 3}),
    "sleeping": Scenario(sleeping, ONCE),
    "at_most_once": Scenario(at_most_once, ONCE, other_output='"unknown"'),
    "tried_again": Scenario(tried_again, ONCE),
    "facts": Scenario(facts, ONCE),
    "started": Scenario(started, ONCE, points=MOSTLY),
    "planned": Scenario(planned, ONCE, points=MOSTLY),
    "renewed": Scenario(renewed, ONCE, points=MOSTLY),
    "giving_up": Scenario(giving_up, ONCE, points=MOSTLY),
    "held_up": Scenario(held_up, ONCE, points=MOSTLY),
    "approving": Scenario(approving, ONCE, points=MOSTLY),
    "undone": Scenario(undone, ONCE | {"crash-cancel-later": 2}, points=MOSTLY),
    "undone_again": Scenario(undone_again, ONCE, points=MOSTLY),
    "given_up": Scenario(given_up, ONCE | {"crash-cancel-later": 2}, points=MOSTLY),
    "not_undone": Scenario(not_undone, ONCE, points=ONE_LOCALLY),
    "started_failing": Scenario(
        started_failing, ONCE | {"crash-broken-later": 2, "crash-flaky-later": 3}, points=ONE
    ),
    "entering": Scenario(entering, ONCE, points=MOSTLY),
    "awaited": Scenario(awaited, ONCE, points=ONE_LOCALLY),
    "first": Scenario(first_of_lanes, ONCE, points=ONE),
    "started_again": Scenario(started_again, ONCE | {"crash-unlucky": 1}, points=ONE_LOCALLY),
    "started_once": Scenario(started_once, ONCE, other_output='["unknown"]', points=ONE_LOCALLY),
}
