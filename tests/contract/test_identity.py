"""U4: one reference id, started fifty times at once by threads and processes, makes one run on every database."""

from __future__ import annotations

import json
import multiprocessing
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import pytest
from celery import Celery

from aiki_celery import Aiki, InputInvalid, ReferenceConflict, WorkflowRun, workflow
from aiki_celery.journal.journal import Journal
from tests.contract.house import House
from tests.contract.rows import count

MANY = 50
PROCESSES = 5


@workflow(name="identity-pay")
def pay(run: WorkflowRun, amount: int) -> int:
    return amount


@workflow(name="identity-pay", version="2.0.0")
def pay_two(run: WorkflowRun, amount: int) -> int:
    return amount


def start_as(amounts: list[int], on_conflict: str, begin: Callable[[], object]) -> list[str]:
    """Starts a payment of each amount under one reference id, all at once; gives the run's id or the conflict's."""
    mine = pay.options(reference_id="order-1", on_conflict=on_conflict)  # type: ignore[arg-type]

    def start(amount: int) -> str:
        begin()
        try:
            return f"run {mine.enqueue(amount).id}"
        except ReferenceConflict as conflict:
            return f"conflict {conflict.run_id}"

    with ThreadPoolExecutor(len(amounts)) as pool:
        return list(pool.map(start, amounts))


_gate: list[Any] = []
_aikis: dict[str, Aiki] = {}


def _become_starter(gate: Any) -> None:
    _gate.append(gate)


def in_a_process(url: str, amounts: list[int], on_conflict: str) -> list[str]:
    """Starts them in a process of its own, when the gate opens for all processes."""
    if url not in _aikis:
        app = Celery("identity", broker="memory://", set_as_current=False)
        _aikis[url] = Aiki(app, journal=url)
        app.finalize()
    with _aikis[url] as aiki:
        aiki.journal.ensure_ready()
        ready = threading.Barrier(len(amounts), action=lambda: _gate[0].wait(60))
        return start_as(amounts, on_conflict, ready.wait)


Started = Callable[[list[int], str], Counter[str]]


@pytest.fixture(scope="module")
def starters() -> Iterator[ProcessPoolExecutor]:
    """Processes that start runs; each waits for the others before it does, so each gets one share."""
    context = multiprocessing.get_context("spawn")
    gate = context.Barrier(PROCESSES)
    with ProcessPoolExecutor(
        PROCESSES, mp_context=context, initializer=_become_starter, initargs=(gate,)
    ) as pool:
        yield pool


@pytest.fixture
def started_at_once(journal: Journal, starters: ProcessPoolExecutor) -> Started:
    """What those get that ask for these amounts at once; each process asks for an equal share."""

    def start(amounts: list[int], on_conflict: str) -> Counter[str]:
        share = len(amounts) // PROCESSES
        asked = [
            starters.submit(in_a_process, url_of(journal), amounts[first : first + share], on_conflict)
            for first in range(0, len(amounts), share)
        ]
        return Counter(answer for future in asked for answer in future.result(timeout=90))

    return start


def url_of(journal: Journal) -> str:
    return journal.connections.url.render_as_string(hide_password=False)


@pytest.mark.parametrize("on_conflict", ["error", "return_existing"])
def test_same_input_gives_everybody_the_one_run(
    journal: Journal, started_at_once: Started, on_conflict: str
) -> None:
    """Whatever is to be done about a conflict: there is none."""
    got = started_at_once([10] * MANY, on_conflict)
    (run,) = journal.views.find()
    assert ({f"run {run.id}": MANY}, "10") == (got, str(json.loads(run.input)["amount"]))


def test_other_input_is_a_conflict_for_all_but_those_of_the_one_run(
    journal: Journal, started_at_once: Started
) -> None:
    """Half of them ask for one thing, half for another: whoever was first is right, and the others hear which run."""
    got = started_at_once([10, 20] * (MANY // 2), "error")
    (run,) = journal.views.find()
    assert {f"run {run.id}": MANY // 2, f"conflict {run.id}": MANY // 2} == got


def test_other_input_gives_the_one_run_where_that_is_wanted(
    journal: Journal, started_at_once: Started
) -> None:
    """With ``return_existing``, each of fifty inputs gets the run of the first one."""
    got = started_at_once(list(range(MANY)), "return_existing")
    (run,) = journal.views.find()
    assert {f"run {run.id}": MANY} == got


def test_another_version_or_a_finished_run_is_the_same_identity(journal: Journal) -> None:
    """A reference id is taken for good, over the versions of its workflow; deleted runs aside."""
    house = House(journal)
    with house.app.aiki as aiki:
        first = pay.options(reference_id="order-1").enqueue(10)
        house.take(first.id)
        assert "completed" == first.status
        assert {first.id} == {
            version.options(reference_id="order-1").enqueue(10).id for version in (pay, pay_two)
        }
        with pytest.raises(ReferenceConflict, match="order-1"):
            pay_two.options(reference_id="order-1").enqueue(11)
        assert 1 == count(journal, "runs")
        aiki.close()


def test_message_knows_no_reference_id(journal: Journal) -> None:
    """Celery's own calls refuse it; there, the task id is what makes it one run."""
    house = House(journal)
    with house.app.aiki as aiki:
        referenced = pay.options(reference_id="order-1")
        for call in (referenced.delay, referenced.s, referenced.si):
            with pytest.raises(InputInvalid, match="the same task_id is the same run"):
                call(10)
        house.app.conf.task_always_eager = True
        for _ in range(2):
            pay.apply_async((10,), task_id="payment-1")
        assert ["payment-1"] == [run.id for run in journal.views.find()]
        aiki.close()
