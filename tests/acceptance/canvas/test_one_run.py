"""A canvas is one run: how often it is resumed, what it takes and refuses, and that it needs no worker to be tried."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery, chain, chord, group
from sqlalchemy import create_engine

from aiki_celery import (
    Aiki,
    InputInvalid,
    NotJournalable,
    ReferenceConflict,
    RunNotFound,
    RunStatus,
    TaskFailed,
    WorkflowFailed,
    durable,
)
from aiki_celery.model.events import RunClaimed
from tests.acceptance.canvas.app import double_it
from tests.acceptance.canvas.tasks import add, add_to_all, fail, identity, tsum


@pytest.fixture
def aiki(sqlite_url: str) -> Iterator[Aiki]:
    """An application that does everything in this process, without a broker or a result backend."""
    app = Celery("here", broker="memory://", set_as_current=False)
    app.conf.task_always_eager = True
    with Aiki(app, journal=sqlite_url) as aiki:
        app.finalize()
        yield aiki
        aiki.close()


@pytest.fixture
def passes(aiki: Aiki) -> list[str]:
    """The passes of canvases."""
    seen: list[str] = []
    aiki.on(RunClaimed, lambda event: seen.append(event.run_id) if event.workflow == "aiki.canvas" else None)
    return seen


def test_chord_of_a_thousand_is_resumed_twice(aiki: Aiki, passes: list[str]) -> None:
    """When its whole header is over, and when its body is."""
    canvas = chord([identity.s(number) for number in range(1000)], tsum.s())
    assert 499500 == durable(canvas).enqueue().get()
    assert 3 == len(passes)


def test_chord_beside_a_long_chain_is_not_resumed_for_each_of_its_tasks(
    aiki: Aiki, passes: list[str]
) -> None:
    """One task of the header is watched beside the chain, until it is over."""
    header = [identity.s(number) for number in range(100)]
    canvas = group(chord(header, tsum.s()), chain(identity.s(0), *[add.s(1)] * 5))
    assert [4950, 5] == durable(canvas).enqueue().get()
    assert len(passes) < 15


def test_chains_in_a_group_share_resumptions(aiki: Aiki, passes: list[str]) -> None:
    """One resumption goes on with every chain whose link is over."""
    canvas = group(chain(identity.s(number), *[add.s(1)] * 4) for number in range(50))
    assert [number + 4 for number in range(50)] == durable(canvas).enqueue().get()
    assert len(passes) < 250


def test_workflow_is_a_task_of_a_canvas(aiki: Aiki) -> None:
    """By its compiled task, with and without its version."""
    canvas = chain(add.s(1, 1), double_it.s(), group(double_it.s(), aiki.app.signature("canvas-workflow")))
    assert [8, 8] == durable(canvas).enqueue().get()


def test_apply_gives_the_result_or_the_error(aiki: Aiki) -> None:
    """In this process, as a workflow's own ``apply`` does."""
    assert 6 == durable(chain(add.s(1), add.s(2))).apply(3).get()
    with pytest.raises(TaskFailed, match="canvas-fail failed after 1 attempt: ExpectedError"):
        durable(chord([add.s(1, 1), fail.s()], tsum.s())).apply().get()


def test_failed_canvas_is_retried_in_this_process(aiki: Aiki) -> None:
    """What has failed is done again, here in vain."""
    handle = durable(group(identity.s(1), fail.s())).enqueue()
    with pytest.raises(WorkflowFailed, match="Task expected to fail"):
        handle.get()
    handle.retry()
    assert (RunStatus.FAILED, 2) == (handle.status, handle.refresh().attempt)


def test_options_are_those_of_the_run(aiki: Aiki) -> None:
    """A reference id makes it one run, and another canvas under it a conflict."""
    named = durable(add.s(1, 1)).options(reference_id="sum", queue="elsewhere")
    first, second = named.enqueue(), named.enqueue()
    assert (first.id, "elsewhere") == (second.id, first.refresh().queue)
    with pytest.raises(ReferenceConflict):
        durable(add.s(1, 2)).options(reference_id="sum").enqueue()


def test_start_belongs_to_the_callers_transaction(aiki: Aiki) -> None:
    """It is taken back with that, or there with that, and has its deadline."""
    engine = create_engine(aiki.journal.connections.url)
    aiki.upgrade_journal()
    with engine.connect() as connection:
        lost = durable(add.s(2, 2)).options(session=connection).enqueue()
        connection.rollback()
        kept = durable(add.s(2, 2)).options(session=connection, deadline=60.0).enqueue()
        limits = connection.exec_driver_sql("SELECT deadline_at - created_at FROM aiki_runs").scalars().all()
        connection.commit()
    with pytest.raises(RunNotFound):
        lost.refresh()
    # SQLite tells each of the two instants anew.
    assert ([60], 4) == ([round(limit / 1e6) for limit in limits], kept.get())
    engine.dispose()


def test_canvas_is_not_changed(aiki: Aiki) -> None:
    """It may be run again, and by Celery as well."""
    canvas = chain(group(add.s(1, 1), group(add.s(2, 2), add.s(3, 3))), tsum.s()).set(queue="q")
    before = repr(dict(canvas))
    assert [12, 12] == [durable(canvas).enqueue().get() for _ in range(2)]
    assert before == repr(dict(canvas))


@pytest.mark.parametrize("wrong", [add, "canvas-add", None, {"name": "x"}, chain(), chord([add.s(1, 1)])])
def test_what_is_no_canvas_is_refused(aiki: Aiki, wrong: Any) -> None:
    """Before anything is written."""
    with pytest.raises(InputInvalid):
        durable(wrong).enqueue()


def test_argument_without_json_form_is_refused(aiki: Aiki) -> None:
    """Whether it is the canvas' or the caller's."""
    for start in (
        lambda: durable(identity.s(object())).enqueue(),
        lambda: durable(add.s(1)).enqueue(object()),
    ):
        with pytest.raises(NotJournalable):
            start()


def test_input_that_does_not_fit_a_task_fails_its_branch_alone(aiki: Aiki) -> None:
    """The others go on to their end."""
    handle = durable(group(add.s(1), chain(identity.s(1), add.s(1)))).enqueue()
    with pytest.raises(WorkflowFailed, match="canvas-add"):
        handle.get()


def test_replaced_task_may_be_a_chord_without_a_result_backend(aiki: Aiki) -> None:
    """In this process it is done at once; on workers see ``cases_replace.py``."""
    assert [2, 3] == durable(add_to_all.s([1, 2], 1)).enqueue().get()
