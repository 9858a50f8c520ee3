"""An application that nobody keeps is freed with its extension: factories and test suites make hundreds of them."""

from __future__ import annotations

import gc
import os
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery, _state
from celery.contrib.testing.worker import start_worker

from aiki_celery import Aiki, WorkflowRun, task, workflow
from aiki_celery.celery_binding.process import WORKER_ID
from aiki_celery.definitions.registry import registry
from aiki_celery.engine.canvas.steps import TELL_ERRBACKS
from tests.contract.rows import count


@task(name="freed-double")
def double(number: int) -> int:
    return 2 * number


@workflow(name="freed-doubling")
def doubling(run: WorkflowRun, number: int) -> int:
    return double.run(run, number)


def use_one(where: Path) -> tuple[weakref.ref[Celery], weakref.ref[Aiki]]:
    app = Celery("freed", set_as_current=False)
    app.conf.task_always_eager = True
    aiki = Aiki(app, journal=f"sqlite:///{where}")
    with aiki:
        assert 42 == doubling.enqueue(21).get()
    aiki.close()
    return weakref.ref(app), weakref.ref(aiki)


def test_extensions_are_freed(tmp_path: Path) -> None:
    used = [use_one(tmp_path / f"{number}.sqlite3") for number in range(3)]
    # Whoever came last is the one that definitions speak to.
    kept = Aiki(Celery("kept", set_as_current=False), journal=f"sqlite:///{tmp_path / 'kept.sqlite3'}")
    gc.collect()

    assert [(None, None)] * 3 == [(app(), aiki()) for app, aiki in used]
    assert kept.app.aiki is kept


@pytest.fixture
def nobody_current() -> Iterator[None]:
    """The application that a worker makes the current one is that no more afterwards."""
    before = _state.default_app, getattr(_state._tls, "current_app", None)
    yield
    _state.default_app, _state._tls.current_app = before


def work(where: Path) -> tuple[weakref.ref[Celery], weakref.ref[Aiki]]:
    """An application that runs a worker here, as users' test suites do, and closes its extension after that."""
    app = Celery("worked", broker="memory://", set_as_current=False)
    aiki = Aiki(app, journal=f"sqlite:///{where}")
    others = set(threading.enumerate())
    with aiki:
        for _ in range(2):
            with start_worker(app, pool="solo", perform_ping_check=False):
                assert 42 == doubling.enqueue(21).get(timeout=20)
            assert ([], None, None, 0) == what_is_left(aiki, others)
    aiki.close()
    return weakref.ref(app), weakref.ref(aiki)


def what_is_left(aiki: Aiki, others: set[threading.Thread]) -> tuple[list[str], str | None, str | None, int]:
    """Threads of a worker, who this process is, and the rows of workers."""
    threads = [
        thread.name for thread in set(threading.enumerate()) - others if thread.name.startswith("aiki-")
    ]
    return threads, aiki.binding.process.worker_id, os.environ.get(WORKER_ID), count(aiki.journal, "workers")


def test_worker_in_this_process_leaves_nothing(tmp_path: Path, nobody_current: None) -> None:
    """It is ended by an exception, and Celery tells nobody of that. Another one may begin."""
    app, aiki = work(tmp_path / "worked.sqlite3")
    kept = Aiki(Celery("kept", set_as_current=False), journal=f"sqlite:///{tmp_path / 'kept.sqlite3'}")
    kept.app.set_current()
    kept.app.set_default()
    gc.collect()

    assert (None, None) == (app(), aiki())


def test_task_of_error_callbacks_belongs_to_its_application(tmp_path: Path) -> None:
    """A later application does not take it over."""
    apps = [Celery(name, set_as_current=False) for name in ("first", "second")]
    extensions = [Aiki(app, journal=f"sqlite:///{tmp_path / app.main}.sqlite3") for app in apps]
    tasks = [app.tasks[TELL_ERRBACKS] for app in apps]
    assert apps == [task.app for task in tasks]
    for aiki in extensions:
        aiki.close()


def test_definitions_go_on_reaching_those_that_are_kept(tmp_path: Path) -> None:
    app = Celery("reached", set_as_current=False)
    aiki = Aiki(app, journal=f"sqlite:///{tmp_path / 'reached.sqlite3'}")
    app.finalize()

    @task(name="freed-late")
    def late() -> None: ...

    assert "freed-late" in app.tasks
    assert late is registry.task("freed-late")
    aiki.close()
