"""Records runs as rows, and puts such rows into a journal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text

from aiki_celery import RunStatus
from tests.contract.house import House
from tests.harness.invariants import Run, read_runs
from tests.histories.flows import CASES

GOLDEN = Path(__file__).with_name("golden")


def record(house: House, folder: Path) -> list[str]:
    """Records the golden runs that are missing; gives their names.

    Args:
        house: With an empty journal.
        folder: Where they are kept.
    """
    made = []
    for workflow, arguments in CASES:
        for when in ("finished", "in-flight"):
            path = folder / f"{workflow.name.removeprefix('golden-')}-{when}.json"
            if path.exists():
                continue
            run_id = house.enqueue(workflow, *arguments)
            if when == "finished":
                house.drain()
            else:
                _up_to_its_last_sleep(house, run_id)
            runs = [run for run in read_runs(house.journal.connections.engine) if run.id.startswith(run_id)]
            path.write_text(json.dumps([_told(run) for run in runs], indent=1, sort_keys=True) + "\n")
            house.drain()
            made.append(path.name)
    return made


def load(url: str, golden: Path) -> list[dict[str, Any]]:
    """Puts the runs of a file into a journal as they were, those that waited as due; gives their rows."""
    engine = create_engine(url)
    runs: list[dict[str, Any]] = json.loads(golden.read_text())
    with engine.begin() as connection:
        for run in runs:
            row = run["row"]
            _insert(connection, "aiki_runs", row | ({"due_at": 1} if row["due_at"] else {}))
            for step in run["steps"]:
                _insert(connection, "aiki_steps", step)
    engine.dispose()
    return [run["row"] for run in runs]


def _up_to_its_last_sleep(house: House, run_id: str) -> None:
    """Does everything until the run sleeps, as often as it fails before it sleeps for good."""
    definitions = {workflow.definition for workflow, _ in CASES}
    while True:
        while house.inbox:
            house.take(house.inbox[0])
        run = house.journal.views.get(run_id)
        if run.status is RunStatus.SLEEPING and (run.attempt > 1 or not run.workflow.endswith("undone")):
            return
        house.publish(house.journal.timers.queue_due(definitions, 100))


def _told(run: Run) -> dict[str, Any]:
    return {"row": _plain(run.row), "steps": [_plain(step) for step in run.steps]}


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row without tracebacks, which name the files of the machine."""
    return {name: _without_traceback(value) for name, value in row.items()}


def _without_traceback(value: Any) -> Any:
    if not isinstance(value, str) or '"traceback":' not in value:
        return value
    return json.dumps(json.loads(value) | {"traceback": ""})


def _insert(connection: Any, table: str, row: Mapping[str, Any]) -> None:
    names, places = ", ".join(row), ", ".join(f":{name}" for name in row)
    connection.execute(text(f"INSERT INTO {table} ({names}) VALUES ({places})"), dict(row))
