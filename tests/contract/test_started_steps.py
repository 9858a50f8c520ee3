"""Started steps in the workflow's code: regular and irregular waits, failures, retries, limits, misuse."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from celery.exceptions import Ignore

from aiki_celery import InputInvalid, Retry, TaskFailed, WorkflowRun, task, workflow
from aiki_celery.definitions.current import current_step
from aiki_celery.errors import DefinitionInvalid, PayloadTooLarge, StepLimitExceeded
from aiki_celery.journal.journal import Journal
from aiki_celery.model.status import RunStatus, StepKind
from tests.contract.families import children_of
from tests.contract.house import House
from tests.contract.rows import count, run_row, set_run

#: What the databases do is shown elsewhere; here it is the engine that counts.
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True, scope="module")

#: What was done, in order: passes of workflows, and calls of steps with the attempt.
told: list[Any] = []

#: Turned to let the code under a run in flight change.
switch: dict[str, Any] = {}


class Declined(Exception):
    """A declared error."""


@pytest.fixture(autouse=True)
def _anew() -> None:
    told.clear()
    switch.clear()


@pytest.fixture
def house(journal: Journal) -> House:
    """Who does what there is to do."""
    return House(journal)


@task(name="started-echo")
def echo(word: str) -> str:
    told.append((word, current_step().attempt))
    return word


@task(name="started-declined", raises=[Declined])
def declined(word: str, code: int) -> str:
    told.append((word, current_step().attempt))
    raise Declined(word, code)


@task(name="started-broken", retry=Retry.fixed(2, 0.001))
def broken(word: str) -> str:
    told.append((word, current_step().attempt))
    raise RuntimeError(f"no {word}")


@task(name="started-mended")
def mended(word: str) -> str:
    """Fails until it is mended."""
    told.append((word, current_step().attempt))
    if word in switch.get("broken", ()):
        switch["broken"].remove(word)
        raise RuntimeError(f"no {word}")
    return word


def passes(run: WorkflowRun) -> None:
    """Tells of a pass."""
    told.append("pass")


def steps_told() -> Counter[str]:
    """How often each step was run."""
    return Counter(entry[0] for entry in told if entry != "pass")


@workflow(name="started-subset")
def subset(run: WorkflowRun) -> list[str]:
    passes(run)
    futures = [echo.start(run, word) for word in "abcdef"]
    odd = run.gather(*futures[::2])
    return odd + run.gather(*futures[1::2]) + run.gather(*futures)


def test_gather_over_a_subset_is_not_woken_by_the_others(house: House) -> None:
    """Others that were started in between are not waited for, and their ends wake nobody."""
    run_id = house.enqueue(subset)
    house.take(run_id)
    rows = children_of(house.journal, run_id)
    even, odd = ([row.id for row in rows if row.parent_seq % 2 == rest] for rest in (0, 1))
    for step_id in [even[0], *odd[:-1], even[1]]:
        house.take(step_id)
        assert ("awaiting_steps", 0) == (run_row(house.journal, run_id).status, house.sent.count(run_id))
    house.take(odd[-1])
    assert ("queued", 1) == (run_row(house.journal, run_id).status, house.sent.count(run_id))
    house.take(run_id)
    assert ("awaiting_steps", 1) == (
        run_row(house.journal, run_id).status,
        run_row(house.journal, run_id).await_count,
    )
    house.drain()
    assert ("completed", '["a","c","e","b","d","f","a","b","c","d","e","f"]') == _end(house, run_id)
    assert (2, 3, dict.fromkeys("abcdef", 1)) == (
        house.sent.count(run_id),
        told.count("pass"),
        steps_told(),
    )


@workflow(name="started-repeated")
def repeated(run: WorkflowRun) -> list[str]:
    passes(run)
    first = echo.start(run, "a")
    second = echo.start(run, "b")
    again = [first.result(), first.result(), *run.gather(first, second, first)]
    return [*again, second.result(), run.first(second, first).result()]


def test_waiting_twice_for_one_future_gives_its_result_twice(house: House) -> None:
    """In one gather, and in one wait after another; what is over is not waited for again."""
    assert ["a", "a", "a", "b", "a", "b"] == house.result_of(repeated)[:6]
    assert {"a": 1, "b": 1} == steps_told()


@workflow(name="started-over-already")
def over_already(run: WorkflowRun) -> list[str]:
    passes(run)
    futures = [echo.start(run, word) for word in "ab"]
    echo.run(run, "between")
    if not run.is_replaying:
        switch["house"].drain()
    return [*run.gather(*futures), run.first(*futures).name]


def test_waiting_for_what_is_over_does_not_suspend(house: House) -> None:
    """What ended while the workflow was busy is there when it asks: one pass, no wait, no message."""
    switch["house"] = house
    assert ["a", "b", "started-echo"] == house.result_of(over_already)
    assert 1 == told.count("pass")
    assert "awaiting_steps" not in run_row(house.journal, _only_parent(house)).history


@workflow(name="started-nothing")
def nothing(run: WorkflowRun) -> list[Any]:
    passes(run)
    return [run.gather(), run.map(echo, []), run.gather(return_exceptions=True)]


def test_gather_of_nothing_is_nothing(house: House) -> None:
    """No wait and no record."""
    assert [[], [], []] == house.result_of(nothing)
    assert (1, 0) == (told.count("pass"), count(house.journal, "steps"))


@workflow(name="started-misused")
def misused(run: WorkflowRun, how: str) -> str:
    future = echo.start(run, "a")
    switch.setdefault("kept", future)
    calls: dict[str, Any] = {
        "a list": lambda: run.gather([future]),
        "a value": lambda: run.gather(future, "b"),
        "a list of first": lambda: run.first([future]),
        "of another run": lambda: run.gather(switch["kept"]),
        "first of nothing": lambda: run.first(),
        "no lane": lambda: run.map(echo, ["b"], max_concurrency=0),
    }
    try:
        calls[how]()
    except InputInvalid as error:
        return str(error)
    return "nothing was said"


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("a list", "a list is unpacked with *"),
        ("a value", "what start(...) or expect(...) gave is waited for, not 'b'"),
        ("a list of first", "a list is unpacked with *"),
        ("of another run", "belongs to another run"),
        ("first of nothing", "first() needs at least one future"),
        ("no lane", "must be 1 or more, not 0"),
    ],
)
def test_what_cannot_be_waited_for_is_refused(house: House, how: str, said: str) -> None:
    """By an error that says what is wrong, before anything is waited for."""
    house.result_of(misused, "a list")
    result = house.result_of(misused, how)
    assert said in result
    assert {"a": 2} == steps_told(), "what was started before is run all the same"


@workflow(name="started-failing")
def failing(run: WorkflowRun, together: bool) -> list[str]:
    futures: list[Any] = [
        echo.start(run, "a"),
        declined.start(run, "b", 7),
        broken.start(run, "c"),
        echo.start(run, "d"),
    ]
    if together:
        outcomes = run.gather(*futures, return_exceptions=True)
        return [str(outcome) for outcome in outcomes]
    try:
        run.gather(*futures)
    except Declined as error:
        caught = f"{error.args}"
    try:
        futures[2].result()
    except TaskFailed as error:
        return [caught, str(error), futures[3].result()]
    return []


def test_failures_come_back_as_what_they_are(house: House) -> None:
    """A declared one as itself, any other as TaskFailed with its attempts; siblings are not dropped."""
    unfit = "started-broken failed after 2 attempts: RuntimeError: no c"
    together = house.result_of(failing, True)
    assert ["a", "('b', 7)", unfit, "d"] == together
    assert ["('b', 7)", unfit, "d"] == house.result_of(failing, False)
    assert {"a": 2, "b": 2, "c": 4, "d": 2} == steps_told()


@workflow(name="started-tried-again", retry=Retry.fixed(3, 0.001))
def tried_again(run: WorkflowRun) -> list[str]:
    told.append("pass")
    echo.run(run, "before")
    return run.gather(*[mended.start(run, word) for word in "abcd"])


def test_retry_of_the_workflow_runs_only_failed_starts_anew(house: House) -> None:
    """Finished siblings are kept, before and after the failed ones; those that failed are started again."""
    switch["broken"] = ["b", "d"]
    assert ["a", "b", "c", "d"] == house.result_of(tried_again)
    assert {"before": 1, "a": 1, "b": 2, "c": 1, "d": 2} == steps_told()
    row = run_row(house.journal, _only_parent(house))
    assert (2, 6) == (row.attempt, row.children)


@workflow(name="started-tried-twice", retry=Retry.fixed(3, 0.001))
def tried_twice(run: WorkflowRun) -> list[str]:
    futures = [mended.start(run, word) for word in "ab"]
    results = [futures[0].result()]
    echo.run(run, "between")
    return [*results, futures[1].result(), echo.run(run, "after")]


def test_retry_of_the_workflow_keeps_what_was_done_before_the_failure_was_seen(house: House) -> None:
    """The second start fails unseen while the first is used; what came between is kept."""
    switch["broken"] = ["b"]
    assert ["a", "b", "after"] == house.result_of(tried_twice)
    assert {"a": 1, "b": 2, "between": 1, "after": 1} == steps_told()


@workflow(name="started-given-and-raised", retry=Retry.fixed(3, 0.001))
def given_and_raised(run: WorkflowRun) -> list[str]:
    answers = run.gather(*[mended.start(run, word) for word in "abcd"], return_exceptions=True)
    echo.run(run, f"{sum(isinstance(answer, Exception) for answer in answers)} failed")
    for answer in reversed(answers):
        if isinstance(answer, Exception):
            raise answer
    return [str(answer) for answer in answers]


def test_retry_of_the_workflow_after_it_has_raised_what_it_was_given(house: House) -> None:
    """Errors that came as values count as failures of their steps once one of them ends the workflow."""
    switch["broken"] = ["b", "c"]
    assert list("abcd") == house.result_of(given_and_raised)
    assert {"a": 1, "b": 2, "c": 2, "d": 1, "2 failed": 1, "0 failed": 1} == steps_told()


@workflow(name="started-first-failed", retry=Retry.fixed(3, 0.001))
def first_failed(run: WorkflowRun) -> str:
    futures = [mended.start(run, word) for word in "ab"]
    winner = run.first(*futures)
    echo.run(run, f"the first was {winner.record.address == futures[0].record.address}")
    return winner.result()


def test_retry_of_the_workflow_after_the_first_has_failed(house: House) -> None:
    """Who won is decided anew when the winner has failed: unchanged code does not diverge."""
    switch["broken"] = ["a"]
    assert "b" == house.result_of(first_failed)
    assert {"a": 2, "b": 1, "the first was True": 1, "the first was False": 1} == steps_told()


@workflow(name="started-in-lanes", retry=Retry.fixed(3, 0.001))
def in_lanes(run: WorkflowRun, words: list[str], at_once: int) -> list[str]:
    return run.map(mended, words, max_concurrency=at_once)


@pytest.mark.parametrize("at_once", [1, 2, 9])
def test_map_runs_no_more_at_once_than_it_may(house: House, at_once: int) -> None:
    """What is under way at once is counted after each step, over a retry of the whole workflow as well."""
    switch["broken"] = ["b", "e"]
    run_id = house.enqueue(in_lanes, list("abcdefg"), at_once)
    most = 0

    def next_one(inbox: Any) -> str:
        nonlocal most
        live = [
            row.status for row in children_of(house.journal, run_id) if row.status in ("queued", "running")
        ]
        most = max(most, len(live))
        return str(inbox.popleft())

    house.drain(next_one)
    row = run_row(house.journal, run_id)
    assert ("completed", '["a","b","c","d","e","f","g"]', 9) == (row.status, row.output, row.children)
    assert min(at_once, 7) == most


@workflow(name="started-or-run")
def started_or_run(run: WorkflowRun) -> list[str]:
    begun = switch["first"]
    value = echo.run(run, "a") if begun == "run" else echo.start(run, "a").result()
    run.sleep(0.001)
    switch["again"] = True
    return [value, echo.run(run, "b")]


@pytest.mark.parametrize(("recorded", "now"), [("run", "start"), ("start", "run"), ("start", "start")])
def test_step_recorded_one_way_is_found_the_other_way(house: House, recorded: str, now: str) -> None:
    """Code that changes .run to .start or back, with a run in flight, runs nothing again."""
    switch["first"] = recorded
    run_id = house.enqueue(started_or_run)
    while run_row(house.journal, run_id).status != RunStatus.SLEEPING:
        house.take(house.inbox[0])
    switch["first"] = now
    house.drain()
    assert ("completed", '["a","b"]') == _end(house, run_id)
    assert {"a": 1, "b": 1} == steps_told()


@workflow(name="started-run-in-flight")
def run_in_flight(run: WorkflowRun) -> list[str]:
    return [echo.run(run, "a")] if "changed" in switch else [echo.start(run, "a").result()]


def test_step_that_is_in_flight_is_waited_for_by_run(house: House) -> None:
    """.run of what was started and is not over waits for it, and does not run it here."""
    run_id = house.enqueue(run_in_flight)
    house.take(run_id)
    switch["changed"] = True
    set_run(house.journal, run_id, status="queued")
    assert RunStatus.AWAITING_STEPS is house.take(run_id).status  # type: ignore[union-attr]
    house.drain()
    assert (("completed", '["a"]'), {"a": 1}) == (_end(house, run_id), steps_told())


@workflow(name="started-diverged")
def diverged(run: WorkflowRun) -> list[str]:
    words = switch.get("words", "ab")
    return run.gather(*[echo.start(run, word) for word in words])


@pytest.mark.parametrize("words", ["xab", "ax", "x"])
def test_new_start_while_recorded_ones_are_left_diverges(house: House, words: str) -> None:
    """The run is stalled, and nothing new was written or sent; with code that fits, it goes on."""
    run_id = house.enqueue(diverged)
    house.take(run_id)
    switch["words"] = words
    house.drain()
    row = run_row(house.journal, run_id)
    assert ("stalled", "diverged", 2, 2) == (
        row.status,
        row.reason,
        row.children,
        count(house.journal, "steps"),
    )
    assert {"a": 1, "b": 1} == steps_told()
    del switch["words"]
    house.journal.views.requeue(run_id)
    house.take(run_id)
    assert ("completed", '["a","b"]') == _end(house, run_id)


@workflow(name="started-before-first")
def before_first(run: WorkflowRun) -> str:
    pair = [echo.start(run, word) for word in "ab"]
    if "changed" in switch:
        pair = [pair[1], echo.start(run, "new")]
    winner = run.first(*pair)
    run.sleep(0.001)
    return winner.result()


def test_nothing_is_started_by_a_pass_that_diverges(house: House) -> None:
    """A start that the code reached before it diverged is not recorded: code that fits goes on with the old record."""
    run_id = house.enqueue(before_first)
    while run_row(house.journal, run_id).status != RunStatus.SLEEPING:
        house.take(house.inbox[0])
    switch["changed"] = True
    house.drain()
    row = run_row(house.journal, run_id)
    assert ("stalled", "diverged", 2, {"a": 1, "b": 1}) == (
        row.status,
        row.reason,
        row.children,
        steps_told(),
    )
    switch.clear()
    house.journal.views.requeue(run_id)
    house.inbox.append(run_id)
    house.drain()
    assert ("completed", '"a"') == _end(house, run_id)


@workflow(name="started-left-alone")
def left_alone(run: WorkflowRun, how: str) -> str:
    for word in "abc":
        echo.start(run, word)
    if how == "inline":
        echo.run(run, "inline")
    if how == "fails":
        raise ValueError("on purpose")
    return how


@pytest.mark.parametrize("how", ["ends", "inline", "fails"])
def test_starts_that_nobody_waits_for_are_run(house: House, how: str) -> None:
    """Also when the workflow ends at once, or fails after them; their ends change nothing of it."""
    run_id = house.enqueue(left_alone, how)
    house.drain()
    row = run_row(house.journal, run_id)
    assert ("failed" if how == "fails" else "completed", 3) == (row.status, row.children)
    assert dict.fromkeys("abc", 1) == {word: n for word, n in steps_told().items() if word != "inline"}
    assert {"completed"} == {child.status for child in children_of(house.journal, run_id)}
    assert 0 == house.sent.count(run_id)


@workflow(name="started-limited")
def limited(run: WorkflowRun, words: list[str]) -> list[str]:
    try:
        return run.gather(*[echo.start(run, word) for word in words])
    except (StepLimitExceeded, PayloadTooLarge, InputInvalid) as error:
        return [type(error).__name__]


def test_starts_count_as_steps(journal: Journal) -> None:
    """`max_steps` bounds them; those within it are run."""
    house = House(journal, max_steps=3)
    assert ["StepLimitExceeded"] == house.result_of(limited, list("abcd"))
    assert dict.fromkeys("abc", 1) == steps_told()


def test_input_of_a_start_is_bounded(journal: Journal) -> None:
    """`max_payload` bounds it; the one that is too large is neither recorded nor sent."""
    house = House(journal, max_payload=1024)
    assert ["PayloadTooLarge"] == house.result_of(limited, ["a", "x" * 2000])
    assert {"a": 1} == steps_told()


@task(name="started-large")
def large(size: int) -> str:
    return "x" * size


@workflow(name="started-large-result")
def large_result(run: WorkflowRun) -> str:
    [outcome] = run.gather(large.start(run, 2000), return_exceptions=True)
    return str(outcome)


def test_result_of_a_started_step_is_bounded(journal: Journal) -> None:
    """A result that is too large fails the step, not the worker."""
    said = House(journal, max_payload=1024).result_of(large_result)
    assert "started-large failed after 1 attempt: PayloadTooLarge: " in said


@workflow(name="started-map-misfit")
def map_misfit(run: WorkflowRun, items: list[Any]) -> str:
    try:
        run.map(echo, items)
    except InputInvalid as error:
        return error.argument
    return "nothing was said"


def test_map_over_an_item_that_does_not_fit_starts_nothing(house: House) -> None:
    """All items are checked before the first is started."""
    assert "word" == house.result_of(map_misfit, ["a", "b", 3])
    assert (Counter(), 0) == (steps_told(), count(house.journal, "steps"))


@workflow(name="started-with-strategy")
def with_strategy(run: WorkflowRun, how: str) -> list[Any]:
    policies: dict[str, Any] = {
        "tenacity": Retry(stop=_stop_at_once),
        "retry_on": Retry.fixed(2, 0.001, retry_on=[KeyError]),
        "plain": Retry.fixed(3, 0.001),
    }
    try:
        [outcome] = run.gather(broken.options(retry=policies[how]).start(run, "a"), return_exceptions=True)
    except InputInvalid as error:
        return [error.argument, echo.run(run, "after")]
    return [outcome.attempts]


def _stop_at_once(_: Any) -> bool:
    return True


@pytest.mark.parametrize("how", ["tenacity", "retry_on"])
def test_policy_that_cannot_travel_is_refused_at_the_start(house: House, how: str) -> None:
    """Nothing is recorded of the refused start, and what follows leaves no gap."""
    assert ["retry", "after"] == house.result_of(with_strategy, how)
    assert [1] == [step.seq for step in house.journal.views.steps(_only_parent(house))]
    assert {"after": 1} == steps_told()


def test_plain_policy_travels_with_the_start(house: House) -> None:
    """It replaces the task's own."""
    assert [3] == house.result_of(with_strategy, "plain")
    assert [("a", 1), ("a", 2), ("a", 3)] == told


@task(name="started-taken-name")
def taken_name(word: str) -> str:
    told.append((word, 1))
    return word


@workflow(name="started-same-name")
def same_name(run: WorkflowRun, other: str) -> list[str]:
    try:
        (taken_name if other == "celery task" else of_a_workflow).start(run, "a")
    except DefinitionInvalid as error:
        return [str(error)[:40], taken_name.run(run, "b")]
    return ["nothing was said"]


@task(name="started-left-alone")
def of_a_workflow(word: str) -> str:
    return word


@pytest.mark.parametrize("other", ["celery task", "workflow"])
def test_task_whose_name_is_taken_is_refused_at_the_start(journal: Journal, other: str) -> None:
    """By a Celery task of the application, or by a workflow: it can be run here, and not be sent."""
    house = House(journal, tasks=["started-taken-name"])
    name = "started-taken-name" if other == "celery task" else "started-left-alone"
    assert [f"task '{name}' cannot be started: "[:40], "b"] == house.result_of(same_name, other)
    assert [1] == [step.seq for step in journal.views.steps(_only_parent(house))]


def test_attempt_of_a_step_with_a_timeout_has_its_whole_time(house: House) -> None:
    """After a failed attempt the step is taken anew: the time of the next one is counted from its own beginning."""
    run_id = house.enqueue(timed)
    house.take(run_id)
    [step_id] = [row.id for row in children_of(house.journal, run_id)]
    outcome = house.take(step_id)
    assert outcome is not None
    assert (RunStatus.AWAITING_RETRY, [("a", 1)]) == (outcome.status, told)
    house.drain()
    assert [("a", 1), ("a", 2)] == told
    assert "failed" == run_row(house.journal, step_id).status


@workflow(name="started-timed")
def timed(run: WorkflowRun) -> list[str]:
    return [
        str(error) for error in run.gather(broken.options(timeout=60).start(run, "a"), return_exceptions=True)
    ]


@workflow(name="started-racing")
def racing(run: WorkflowRun) -> list[str]:
    futures = [echo.start(run, word) for word in "abc"]
    order = []
    while futures:
        winner = run.first(*futures)
        futures.remove(winner)
        order.append(winner.result())
    run.sleep(0.001)
    return order


@pytest.mark.parametrize("order", ["abc", "cab", "bca"])
def test_first_gives_the_same_order_on_every_replay(house: House, order: str) -> None:
    """As they end, whatever the order; each is recorded, and one pass more changes nothing."""
    run_id = house.enqueue(racing)
    house.take(run_id)
    rows = dict(zip("abc", [row.id for row in children_of(house.journal, run_id)], strict=True))
    for word in order:
        house.take(rows[word])
        house.take(run_id)
    house.drain()
    assert ("completed", str(list(order)).replace("'", '"').replace(" ", "")) == _end(house, run_id)
    kinds = [step.kind for step in house.journal.views.steps(run_id)]
    assert 3 == kinds.count(StepKind.FIRST)


@workflow(name="started-in-vain")
def in_vain(run: WorkflowRun) -> str:
    try:
        return echo.start(run, "a").result()
    finally:
        switch.setdefault("seen", []).append(_try(lambda: echo.start(run, "cleaning up")))


def _try(call: Any) -> str:
    try:
        call()
    except BaseException as error:
        return type(error).__name__
    return "went through"


def test_start_while_the_run_is_being_suspended_is_refused(house: House) -> None:
    """Code that cleans up after a suspension starts nothing; at the end it may."""
    run_id = house.enqueue(in_vain)
    house.drain()
    assert (["RunSuspended", "went through"], ("completed", '"a"')) == (switch["seen"], _end(house, run_id))
    assert {"a": 1, "cleaning up": 1} == steps_told()


def _only_parent(house: House) -> str:
    runs = house.journal.schema.runs
    with house.journal.connections.autocommit() as connection:
        return str(connection.execute(runs.select().where(runs.c.kind == "workflow")).one().id)


def _end(house: House, run_id: str) -> tuple[str, str]:
    row = run_row(house.journal, run_id)
    return row.status, row.output


@workflow(name="started-misdirected")
def misdirected(run: WorkflowRun) -> str:
    return echo.run(run, "a")


def test_a_message_of_a_run_that_was_sent_to_a_task_gives_the_run_back(house: House) -> None:
    """A forged or mistaken message holds nobody up."""
    run_id = house.enqueue(misdirected)
    task_of_echo = house.app.tasks["started-echo"]
    task_of_echo.push_request(id=run_id, aiki={"v": 1, "first": "journal"})
    try:
        with pytest.raises(Ignore):
            task_of_echo()
    finally:
        task_of_echo.pop_request()
    row = run_row(house.journal, run_id)
    assert ("queued", None, []) == (row.status, row.owner, told)
    assert "its message had been sent to 'started-echo'" in row.history
    house.drain()
    assert "completed" == run_row(house.journal, run_id).status
