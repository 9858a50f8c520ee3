"""L32: a forged journal row or message imports no class, and nothing of ours is a pickle."""

from __future__ import annotations

import ast
import json
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

import aiki_celery
from aiki_celery import TaskFailed, WorkflowRun, workflow
from aiki_celery.engine.ports import Forever
from tests.acceptance.conftest import Lab
from tests.acceptance.lessons.conftest import APP
from tests.acceptance.lessons.definitions import count, work
from tests.harness.effects import record_effect

TRAP = "tests.acceptance.lessons.trap"
FORGED = {"__type__": "Trap", "py/object": f"{TRAP}.Trap", "__class__": f"{TRAP}.Trap", "exc_module": TRAP}
FAILURE = {"type": f"{TRAP}.Trap", "message": "m", "traceback": "", "attempts": 1, "args": ["m"]} | FORGED
FORBIDDEN_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "yaml"}
FORBIDDEN_CALLS = {"eval", "exec", "__import__", "import_module", "symbol_by_name", "instantiate"}
ALLOWED = {
    # Gets the standard library's own threads back from gevent; its callers name them in the code.
    ("native.py", "import_module"),
    # The request class that a task of the application names itself, looked up as Celery does.
    ("requests.py", "symbol_by_name"),
}


@workflow(name="lesson-forged")
def forged(run: WorkflowRun) -> Any:
    try:
        work.run(run, 1, 0.0)
    except TaskFailed as error:
        run.sleep(0.0)
        return [type(error).__name__, error.type]
    return run.sleep(3600)


class Bomb:
    """What a pickle does when it is read."""

    def __reduce__(self) -> Any:
        return record_effect, ("exploded",)


@pytest.mark.parametrize("forgery", ["failure", "input"])
def test_forged_row_imports_nothing(forgery: str, embedded_lab: Lab) -> None:
    """Names of a class, in every notation known, as a recorded error and as a run's input."""
    binding = embedded_lab.aiki.binding
    handle = forged.enqueue()
    first = binding.executor.claim(handle.id, binding.process.owner())
    assert first is not None
    binding.executor.run(forged, *first, Forever(), told=True)
    engine = create_engine(embedded_lab.journal)
    with engine.begin() as connection:
        connection.execute(text("UPDATE aiki_runs SET status = 'queued'"))
        if forgery == "failure":
            forge = "UPDATE aiki_steps SET status = 'failed', value = :forged WHERE kind = 'task'"
            connection.execute(text(forge), {"forged": json.dumps(FAILURE)})
        else:
            connection.execute(text("UPDATE aiki_runs SET input = :forged"), {"forged": json.dumps(FORGED)})
    engine.dispose()

    second = binding.executor.claim(handle.id, binding.process.owner())
    assert second is not None
    outcome = binding.executor.run(forged, *second, Forever(), told=True)

    if forgery == "failure":
        assert ["TaskFailed", f"{TRAP}.Trap"] == json.loads(outcome.output or "null")
    assert TRAP not in sys.modules
    assert 0 == embedded_lab.effects.count("trapped")


def test_forged_messages_import_nothing_and_harm_nobody(lab: Lab, at_rest: Callable[..., object]) -> None:
    """A pickle, and JSON that names a class, to a worker that goes on with its work."""
    pickle.loads(pickle.dumps(Bomb()))
    assert 1 == lab.effects.count("exploded"), "the fault: reading a pickle is running it"
    worker = lab.start_worker(APP, concurrency=1)
    with lab.app.connection_for_write() as connection:
        headers = {
            "task": "lesson-count@1.0.0",
            "id": "forged",
            "aiki": {"v": 1, "first": "message", **FORGED},
        }
        with connection.Producer() as producer:
            for serializer, body in (
                ("pickle", ([Bomb()], {}, {})),
                ("json", ([FORGED, FORGED], FORGED, {})),
            ):
                producer.publish(body, routing_key="celery", serializer=serializer, headers=headers)
    assert [0] == count.enqueue(1, 0.0).get(timeout=20)
    assert worker.is_running
    assert 1 == lab.effects.count("exploded")
    assert 0 == lab.effects.count("trapped")
    at_rest(lab)


def test_package_neither_pickles_nor_evaluates() -> None:
    """No module of ours imports a serializer of code, or imports by name."""
    found = []
    for path in Path(aiki_celery.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names = {alias.name.partition(".")[0] for alias in node.names} & FORBIDDEN_MODULES
            elif isinstance(node, ast.ImportFrom):
                names = {(node.module or "").partition(".")[0]} & FORBIDDEN_MODULES
            elif isinstance(node, ast.Call):
                called = getattr(node.func, "id", getattr(node.func, "attr", ""))
                names = {called} & FORBIDDEN_CALLS if (path.name, called) not in ALLOWED else set()
            else:
                continue
            found += [f"{path.name}:{node.lineno}: {name}" for name in names]
    assert [] == found
