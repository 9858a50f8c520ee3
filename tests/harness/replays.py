"""I8: the journal of a finished run, replayed against the same code, runs no step and gives the same result."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from celery import Celery
from sqlalchemy import Engine, create_engine, text

from aiki_celery import Aiki, Workflow
from aiki_celery.engine.ports import Forever
from aiki_celery.model.events import StepStarting
from tests.harness.invariants import TERMINAL, Run, read_runs


def check_replays(url: str | Engine, workflows: Iterable[Workflow[..., Any]], folder: Path) -> int:
    """Replays every finished run of these workflows in a copy of the journal; gives how many.

    Args:
        url: SQLAlchemy URL of the journal, or an engine.
        workflows: Their code.
        folder: Where the copy is made.

    Raises:
        AssertionError: A step was run, a record was added, or the outcome is another.
    """
    known = {(workflow.name, workflow.version): workflow for workflow in workflows}
    runs = [
        run
        for run in read_runs(url)
        if run.row["status"] in TERMINAL and (run.row["workflow"], run.row["version"]) in known
    ]
    started = _started_by(url, runs)
    copy = f"sqlite:///{folder / 'replayed.sqlite3'}"
    app = Celery("replays", broker="memory://", set_as_current=False)
    aiki = Aiki(app, journal=copy)
    try:
        aiki.upgrade_journal()
        _write(copy, runs, started)
        begun: list[StepStarting] = []
        aiki.on(StepStarting, begun.append)
        for run in runs:
            taken = aiki.binding.executor.claim(run.id, aiki.binding.process.owner())
            assert taken is not None, f"I8: run {run.id} could not be taken"
            workflow = known[(run.row["workflow"], run.row["version"])]
            outcome = aiki.binding.executor.run(workflow, *taken, Forever(), told=True)
            assert begun == [], f"I8: replaying run {run.id} ran {[asdict(step) for step in begun]}"
            assert (run.row["status"], run.row["output"]) == (outcome.status, outcome.output), f"I8: {run.id}"
            assert _kind(run.row["error"]) == _kind(outcome.error), f"I8: run {run.id}"
        after = {run.id: len(run.steps) for run in read_runs(copy)}
        before = {run.id: len(run.steps) for run in [*runs, *started]}
        assert before == after, "I8: a replay added records, or started something"
    finally:
        aiki.close()
        app.close()
    return len(runs)


def _started_by(url: str | Engine, runs: list[Run]) -> list[Run]:
    """What these runs have started: its outcome is a part of their records."""
    started = {step["child_id"] for run in runs for step in run.steps} - {run.id for run in runs}
    return [run for run in read_runs(url) if run.id in started]


def _write(url: str, runs: list[Run], started: list[Run]) -> None:
    """Puts the runs and their records into another journal, as queued, and what they have started as it is."""
    engine = create_engine(url)
    with engine.begin() as connection:
        for run in runs:
            _insert(connection, "aiki_runs", {**run.row, "status": "queued", "output": None, "error": None})
        for run in started:
            _insert(connection, "aiki_runs", dict(run.row))
        for run in [*runs, *started]:
            for step in run.steps:
                _insert(connection, "aiki_steps", dict(step))
            for received in run.events:
                _insert(connection, "aiki_events", dict(received))
    engine.dispose()


def _insert(connection: Any, table: str, row: dict[str, Any]) -> None:
    names = ", ".join(row)
    places = ", ".join(f":{name}" for name in row)
    connection.execute(text(f"INSERT INTO {table} ({names}) VALUES ({places})"), row)


def _kind(error: str | None) -> tuple[str, str] | None:
    """Type and message: the traceback of a replayed error has no cause any more."""
    if error is None:
        return None
    failure = json.loads(error)
    return failure["type"], failure["message"]
