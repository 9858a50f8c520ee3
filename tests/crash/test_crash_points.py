"""A run whose process dies at any lifecycle event ends as if nothing had happened."""

from __future__ import annotations

import inspect
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from aiki_celery.model import events
from aiki_celery.model.events import (
    RunEvent,
    RunFinishing,
    RunParked,
    StepCommitting,
    StepsLaunched,
    StepsLaunching,
    StepTaken,
)
from tests.crash.lives import Crash, Ground, Life
from tests.crash.scenarios import SCENARIOS, Scenario, effect_facts
from tests.crash.undoing import CANCELLED, cancelled
from tests.harness.effects import EFFECTS_ENV, Effects
from tests.harness.invariants import Run, check_invariants, read_runs
from tests.harness.replays import check_replays

#: Kills a life before the one that is to meet an event of recovery.
FIRST = Crash(StepCommitting, 1)


def leaves() -> list[type[RunEvent]]:
    """Every event there is: a class without subclasses."""
    kinds = [kind for _, kind in inspect.getmembers(events, inspect.isclass) if issubclass(kind, RunEvent)]
    return [
        kind for kind in kinds if not any(other is not kind and issubclass(other, kind) for other in kinds)
    ]


@dataclass(frozen=True)
class Undisturbed:
    """What a scenario does by itself: its run, its effects, the events of its lives."""

    run: Run
    effects: Counter[tuple[Any, ...]]
    alone: Counter[str]
    recovering: Counter[str]
    superseded: Counter[str]


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def ground(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """A journal for every life of this module."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('crash') / 'journal.sqlite3'}"
    else:
        url = request.getfixturevalue("postgres").new_database()
    ground = Ground(url)
    yield ground
    ground.close()


@pytest.fixture(scope="module")
def module_effects(ground: Ground, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Effects]:
    """The judge's store, shared by every life of this module."""
    effects = Effects(tmp_path_factory.mktemp("crash") / "effects.jsonl")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(EFFECTS_ENV, str(effects.path))
        yield effects


@pytest.fixture(scope="module")
def undisturbed(ground: Ground, module_effects: Effects) -> dict[str, Undisturbed]:
    """What each scenario does by itself."""
    return live_undisturbed(ground, module_effects, ground.scenarios())


def live_undisturbed(
    ground: Ground, module_effects: Effects, scenarios: dict[str, Scenario]
) -> dict[str, Undisturbed]:
    """What scenarios do when nobody dies, and which events they meet after a death and as a zombie."""
    ground.live_here(SCENARIOS["sleeping"].workflow, "warm-up")
    found = {}
    for name, scenario in scenarios.items():
        alone = ground.live(scenario.workflow, f"{name} alone")
        killed = ground.live(scenario.workflow, f"{name} recovering", FIRST)
        recovering = ground.live(scenario.workflow, f"{name} recovering", after=killed)
        superseded = ground.live(scenario.workflow, f"{name} superseded", superseded=True)
        run = run_of(ground, f"{name} alone")
        had = tally(effects_of(module_effects, run))
        found[name] = Undisturbed(run, had, alone.events, recovering.events, superseded.events)
    return found


@pytest.mark.parametrize("event", leaves(), ids=lambda event: event.__name__)
def test_run_survives_a_crash_at(
    event: type[RunEvent], ground: Ground, module_effects: Effects, undisturbed: dict[str, Undisturbed]
) -> None:
    """Each scenario, killed at its first, middle and last such event or one of them, ends as if undisturbed."""
    injections = sum(
        inject(event, occurrence, lives, name, known, ground, module_effects)
        for name, known in undisturbed.items()
        for occurrence, lives in crash_points(event, known, one=ground.takes_one(SCENARIOS[name]))
    )
    assert injections > 0, f"no scenario and no life meets {event.__name__}: add one that does"


def inject(
    event: type[RunEvent],
    occurrence: int,
    lives: str,
    name: str,
    known: Undisturbed,
    ground: Ground,
    effects: Effects,
) -> int:
    """Kills a scenario there, lets it live on, and judges it; gives how many crashes were asked for."""
    scenario, reference = SCENARIOS[name], f"{name} {event.__name__} {occurrence}"
    crashes = live_through(ground, scenario, reference, Crash(event, occurrence), lives)
    judge(run_of(ground, reference), scenario, known, effects, crashes, reference)
    return 1


@pytest.mark.mariadb
def test_started_steps_survive_crashes_on_mariadb(
    mariadb_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two scenarios of started steps, killed at the middle one of each event that starts, ends or parks."""
    effects = Effects(tmp_path / "effects.jsonl")
    monkeypatch.setenv(EFFECTS_ENV, str(effects.path))
    ground = Ground(mariadb_url)
    try:
        undisturbed = live_undisturbed(
            ground, effects, {name: SCENARIOS[name] for name in ("started", "first")}
        )
        for event in (StepsLaunching, StepsLaunched, StepTaken, StepCommitting, RunParked, RunFinishing):
            for name, known in undisturbed.items():
                [(occurrence, lives)] = crash_points(event, known, one=True)
                inject(event, occurrence, lives, name, known, ground, effects)
        check_invariants(ground.reader, effects, crashes=deaths_in(ground))
    finally:
        ground.close()


def test_journal_holds_every_invariant_after_all_crashes(
    ground: Ground, module_effects: Effects, undisturbed: dict[str, Undisturbed], tmp_path: Path
) -> None:
    """The journal on which all those lives ended is whole, and each of its runs replays without running a step."""
    del undisturbed
    limits = {name: limit for scenario in SCENARIOS.values() for name, limit in scenario.max_attempts.items()}
    deaths = deaths_in(ground)
    found = check_invariants(ground.reader, module_effects, crashes=deaths, max_attempts=limits)
    assert deaths > 0
    assert found.effects > 0
    workflows = [scenario.workflow for scenario in SCENARIOS.values()]
    of_workflows = sum(run.row["kind"] == "workflow" for run in read_runs(ground.reader))
    assert found.started > 0
    assert (found.runs - found.started, of_workflows) == (
        of_workflows,
        check_replays(ground.reader, workflows, tmp_path),
    )


def test_what_was_done_is_undone_the_last_first_whatever_has_crashed(
    ground: Ground, module_effects: Effects, undisturbed: dict[str, Undisturbed]
) -> None:
    """I11: compensations are those of the finished steps, in their order, once but for the step in flight."""
    del undisturbed
    runs = [run for run in read_runs(ground.reader) if run.row["workflow"] in CANCELLED]
    assert len(runs) > len(CANCELLED)
    for run in runs:
        assert CANCELLED[run.row["workflow"]] == cancelled(effects_of(module_effects, run)), run.id


def deaths_in(ground: Ground) -> int:
    """How often a run was taken from a process that had died."""
    return sum(line[2].startswith("recovered") for run in read_runs(ground.reader) for line in run.history)


def crash_points(event: type[RunEvent], known: Undisturbed, *, one: bool = False) -> list[tuple[int, str]]:
    """Where to kill: in a life of its own if it meets the event there, else while recovering, else as a zombie."""
    for lives in ("alone", "recovering", "superseded"):
        met = getattr(known, lives)[event.__name__]
        if met:
            chosen = {(met + 1) // 2} if one else {1, (met + 1) // 2, met}
            return [(occurrence, lives) for occurrence in sorted(chosen)]
    return []


def live_through(ground: Ground, scenario: Scenario, reference: str, crash: Crash, lives: str) -> int:
    """Lives, dies and lives on until the end; gives how often it died or was superseded."""
    life: Life | None = None
    disturbances = 1
    if lives == "recovering":
        life = ground.live(scenario.workflow, reference, FIRST)
        disturbances += 1
    disturbances += lives == "superseded"
    killed = ground.live(scenario.workflow, reference, crash, after=life, superseded=lives == "superseded")
    assert killed.crashed, f"{reference}: {crash} was not reached in the life {lives!r}: {killed.events}"
    ground.live_here(scenario.workflow, reference, after=killed)
    return disturbances


def run_of(ground: Ground, reference: str) -> Run:
    """The one run with this reference id."""
    (run,) = read_runs(ground.reader, reference_id=reference)
    return run


def effects_of(effects: Effects, run: Run) -> list[dict[str, Any]]:
    """What the run's steps did."""
    return [json.loads(line) for line in effects.path.read_text().splitlines() if f'"{run.id}:' in line]


def tally(effects: list[dict[str, Any]]) -> Counter[tuple[Any, ...]]:
    """How often each effect was had."""
    return Counter(effect_facts(effect) for effect in effects)


def judge(
    run: Run, scenario: Scenario, known: Undisturbed, effects: Effects, crashes: int, where: str
) -> None:
    """Outcome and effects are those of the undisturbed run, but for one repeated step per crash."""
    outputs = {known.run.row["output"], scenario.other_output or known.run.row["output"]}
    assert run.row["status"] == known.run.row["status"], f"{where}: {run.history}"
    assert run.row["output"] in outputs, where
    assert run.row["reason"] == known.run.row["reason"], where
    told = effects_of(effects, run)
    had = tally(told)
    excused = Counter() if run.row["output"] == known.run.row["output"] else Counter({"wire": 1})
    missing = [dict(facts) for facts in (known.effects - had) if dict(facts)["name"] not in excused]
    repeated = had - known.effects
    assert missing == [], where
    assert sum(repeated.values()) <= crashes, f"{where}: {repeated}"
    assert all(dict(facts)["name"] != "wire" for facts in repeated), where
    drawn = {str(effect["drawn"]) for effect in told if "drawn" in effect}
    assert len(drawn) <= 1, f"{where}: now, uuid4 and random changed: {drawn}"
