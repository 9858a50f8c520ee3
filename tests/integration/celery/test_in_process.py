"""Runs in the caller's own process: `apply()`, and every start under `task_always_eager`."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from decimal import Decimal

import pytest
from celery import chain, chord, group

from aiki_celery import Aiki, InputInvalid, RunStatus, TaskFailed, WorkflowRun, task, workflow
from tests.contract.counting import counting
from tests.harness.effects import EFFECTS_ENV
from tests.integration.celery.deployment import Deployment
from tests.integration.celery.flows import Order, Receipt, add, bill, doomed, total

ORDER = Order(id="o-1", amount=Decimal("12.50"), due=datetime(2030, 1, 2, tzinfo=timezone.utc))


@pytest.fixture
def here(embedded: Deployment, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    """A deployment without workers, whose steps run in this process."""
    monkeypatch.setenv(EFFECTS_ENV, str(embedded.effects.path))
    return embedded


@pytest.fixture
def eager(here: Deployment) -> Deployment:
    """As users' test suites have it."""
    here.client.conf.task_always_eager = True
    here.client.conf.task_eager_propagates = False
    return here


def test_apply_gives_the_typed_result(here: Deployment) -> None:
    """Journaled, without a broker or a worker."""
    result = bill.apply((ORDER,))
    assert Receipt(order=ORDER, total=Decimal("25.00")) == result.get()
    assert RunStatus.COMPLETED is here.aiki.view(result.id).status


def test_apply_sleeps_its_waits(here: Deployment) -> None:
    """A durable sleep lasts as long here."""
    began = time.monotonic()
    assert 3 == add.apply((1, 2), {"sleep": 0.3}).get()
    assert time.monotonic() - began >= 0.3


def test_apply_raises_what_the_run_raised(here: Deployment, key: str) -> None:
    """From `get()`, as any EagerResult."""
    result = doomed.apply((key,))
    with pytest.raises(TaskFailed, match=f"no luck with {key}"):
        result.get()
    assert RunStatus.FAILED is here.aiki.view(result.id).status


@workflow(name="in-process-napping")
def napping(run: WorkflowRun, seconds: float) -> None:
    run.sleep(seconds)


@workflow(name="in-process-family")
def family(run: WorkflowRun, children: int) -> None:
    naps = [napping.options(delay=0.1).start(run, 0.0)]
    naps += [napping.start(run, 0.3 + 0.01 * number) for number in range(children - 1)]
    run.gather(*naps)


def test_apply_looks_once_for_what_a_pass_has_delayed(here: Deployment) -> None:
    """Not for each child whenever another one wakes: two hundred that sleep kept a run for half a minute."""
    children = 8
    with counting(here.aiki.journal) as counted:
        family.apply((children,)).get()
    looks = [text for text in counted.statements if "status IN" in text and "parent_id =" in text]
    # Two passes each, the parent's own included, but for the delayed child, whose sleep is over at once.
    assert 2 * (children + 1) - 1 == len(looks)


@task(name="in-process-keyed", input_key=lambda: "one for all")  # type: ignore[misc]
def keyed(number: int) -> int:
    return number


@workflow(name="in-process-keying")
def keying(run: WorkflowRun) -> int:
    return keyed.run(run, 5)


def test_input_key_that_fails_is_named(here: Deployment) -> None:
    """With the task and the reason; the run fails as by any error of its code."""
    result = keying.apply()
    with pytest.raises(
        InputInvalid, match=r"in-process-keyed: argument 'input_key': raised TypeError: .*takes 0"
    ):
        result.get()
    assert RunStatus.FAILED is here.aiki.view(result.id).status


def test_eager_delay_runs_at_once(eager: Deployment) -> None:
    """The result is what a worker would store."""
    result = bill.delay(ORDER)
    assert "25.00" == result.get()["total"]
    assert RunStatus.COMPLETED is eager.aiki.view(result.id).status
    with pytest.raises(InputInvalid):
        add.delay(1, "two")


def test_eager_enqueue_runs_at_once(eager: Deployment) -> None:
    """The handle finds a finished run."""
    handles = [add.enqueue(1, 2), *add.enqueue_many([(2, 2), (3, 2)])]
    assert [RunStatus.COMPLETED] * 3 == [handle.status for handle in handles]
    assert [3, 4, 5] == [handle.get(timeout=0) for handle in handles]


def test_eager_enqueue_many_runs_all_or_none(eager: Deployment, key: str) -> None:
    """As without `task_always_eager`: a call that does not fit is found before the first run."""
    with pytest.raises(InputInvalid):
        add.options(tags=[key]).enqueue_many([(1, 2), (1, "two")])  # type: ignore[list-item]
    with pytest.raises(InputInvalid, match="reference_id"):
        add.options(reference_id=key).enqueue_many([(1, 2)])
    views = eager.aiki.journal.views
    assert ([], []) == (views.find(workflow=add.name), add.enqueue_many([]))


def test_eager_chain_passes_results_on(eager: Deployment) -> None:
    """Workflows and plain tasks, with a suspension."""
    canvas = chain(eager.task("plain.add").s(1, 2), add.s(3, sleep=0.1), add.s(4))
    assert 10 == canvas.apply_async().get()
    assert 10 == canvas.apply().get()


def test_eager_group_and_chord(eager: Deployment) -> None:
    """The rest of canvas."""
    assert [2, 3] == group(add.s(1, 1), add.s(2, 1)).apply_async().get()
    assert 5 == chord([add.s(1, 1), add.s(2, 1)])(total.s()).get()


def test_eager_link_and_link_error_are_called(eager: Deployment, key: str) -> None:
    """Once each."""
    add.apply_async((1, 2), link=eager.task("plain.told").s(key))
    assert [3] == [effect["result"] for effect in eager.effects.all("told", key=key)]
    doomed.apply_async((key,), link_error=eager.task("plain.failed").s(key))
    assert 1 == eager.effects.count("failed", key=key)


def test_eager_failure_propagates_if_asked(eager: Deployment, key: str) -> None:
    """`task_eager_propagates` is honoured."""
    eager.client.conf.task_eager_propagates = True
    with pytest.raises(TaskFailed, match=f"no luck with {key}"):
        doomed.delay(key)


def test_definitions_speak_to_the_current_extension(here: Deployment) -> None:
    """The eager app above is this test's own: nothing leaks from one to the other."""
    assert not here.client.conf.task_always_eager
    assert isinstance(here.client.aiki, Aiki)
