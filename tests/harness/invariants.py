"""The judge: what must hold of a journal, and of the effects its steps had, once everything is at rest.

Reads the tables itself, by plain SQL, so that it does not believe what the accused says. The letters and numbers are
those of the list of invariants the project keeps (I1: no lost run, ...). Steps take part by recording their effects
with the facts `key=current_step().idempotency_key` and `attempt=current_step().attempt`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from sqlalchemy import Engine, NullPool, create_engine, text

from aiki_celery.model.status import RunStatus
from aiki_celery.model.transitions import is_allowed
from tests.harness.effects import Effects

#: Seconds by which the clock of a pass may lag behind the machine's: the time the database took to tell it.
LAG = 0.1

TERMINAL = ("completed", "failed", "cancelled")
WAITING = ("sleeping", "awaiting_retry", "scheduled")

#: How the reason begins why a run waits no more because somebody said so.
BY_HAND = ("woken by hand", "paused by hand", "to be cancelled")


@dataclass(frozen=True)
class Run:
    """One run as the journal holds it: its row, its records in order, its transitions, what it has received."""

    row: Mapping[str, Any]
    steps: list[Mapping[str, Any]]
    history: list[tuple[str, int, str]]
    events: list[Mapping[str, Any]] = field(default_factory=list)

    @property
    def id(self) -> str:
        """Id of the run."""
        return str(self.row["id"])


@dataclass
class Findings:
    """What was looked at, and what was wrong with it. `started` are the runs of started steps."""

    runs: int = 0
    started: int = 0
    records: int = 0
    effects: int = 0
    repeats: int = 0
    wrong: list[str] = field(default_factory=list)


def read_runs(url: str | Engine, *, reference_id: str | None = None, prefix: str = "aiki_") -> list[Run]:
    """Reads every run of a journal, oldest first, or the ones with this reference id or schedule."""
    engine = create_engine(url, poolclass=NullPool) if isinstance(url, str) else url
    chosen = "" if reference_id is None else "WHERE reference_id = :reference OR schedule = :reference"
    mine = f"WHERE run_id IN (SELECT id FROM {prefix}runs {chosen})"
    told = {} if reference_id is None else {"reference": reference_id}
    queries = (
        f"SELECT * FROM {prefix}runs {chosen} ORDER BY created_at, id",
        f"SELECT * FROM {prefix}steps {mine} ORDER BY run_id, seq",
        f"SELECT * FROM {prefix}history {mine} ORDER BY run_id, page",
        f"SELECT * FROM {prefix}events {mine} ORDER BY run_id, number",
    )
    with engine.connect() as connection:
        rows, steps, pages, events = (
            connection.execute(text(query), told).mappings().all() for query in queries
        )
    steps_of: dict[str, list[Mapping[str, Any]]] = {}
    for step in steps:
        steps_of.setdefault(step["run_id"], []).append(step)
    runs = []
    for row in rows:
        earlier = "".join(page["lines"] for page in pages if page["run_id"] == row["id"])
        history = [_line(line) for line in (earlier + row["history"]).splitlines()]
        received = [event for event in events if event["run_id"] == row["id"]] if row["events"] else []
        runs.append(Run(row, steps_of.get(row["id"], []), history, received))
    return runs


def check_invariants(
    url: str | Engine,
    effects: Effects | None = None,
    *,
    crashes: int = 0,
    stalled: Collection[str] = (),
    max_attempts: Mapping[str, int] | None = None,
    earlier: list[Run] | None = None,
    prefix: str = "aiki_",
) -> Findings:
    """Checks a journal at rest.

    Args:
        url: SQLAlchemy URL of the journal, or an engine.
        effects: The judge's store.
        crashes: How many processes died in the middle of a run: each may repeat one at-least-once step.
        stalled: Ids of the runs that are meant to be stalled.
        max_attempts: How often each task may be tried, by name.
        earlier: What `read_runs` gave at an earlier moment: what was recorded then is still there, byte by byte.
        prefix: What the names of the tables begin with.

    Raises:
        AssertionError: Something does not hold; names all of it.
    """
    runs = read_runs(url, prefix=prefix)
    found = Findings(runs=len(runs), records=sum(len(run.steps) for run in runs))
    found.started = sum(run.row["kind"] == "step" for run in runs)
    found.wrong += _families(runs)
    for run in runs:
        found.wrong += _received(run)
    for run in runs:
        for check in (_at_rest(run, run.id in stalled), _written_once(run), _fenced(run), _on_time(run)):
            found.wrong += check
        found.wrong += _within_attempts(run, max_attempts or {})
    found.wrong += _unchanged(earlier or [], runs)
    if effects is not None:
        _judge_effects(runs, effects, crashes, found)
    assert found.wrong == [], "\n".join(found.wrong)
    return found


def check_families(url: str | Engine, *, prefix: str = "aiki_") -> None:
    """Checks what holds at any moment between runs and those they have started.

    Raises:
        AssertionError: Something does not hold; names all of it.
    """
    runs = read_runs(url, prefix=prefix)
    wrong = [*_families(runs), *(line for run in runs for line in _received(run))]
    assert wrong == [], "\n".join(wrong)


def _families(runs: list[Run]) -> Iterator[str]:
    """I16 and I17, for every run that others belong to."""
    known = {run.id: run for run in runs}
    children: dict[str, list[Run]] = {}
    for run in runs:
        if run.row["parent_id"] is not None:
            children.setdefault(run.row["parent_id"], []).append(run)
    for parent_id in children.keys() - known.keys():
        yield f"I17: run {parent_id} is gone, and {[child.id for child in children[parent_id]]} belong to it"
    for run in runs:
        yield from _related(run, children.get(run.id, []), known)
        yield from _awaiting(run, known)
        yield from _in_line(run, children.get(run.id, []))


def _related(run: Run, children: list[Run], known: Mapping[str, Run]) -> Iterator[str]:
    """I17: each start has its one run, and each run that was started its one start."""
    starts = {step["seq"]: step for step in run.steps if step["child_id"] is not None}
    for seq, step in starts.items():
        child = known.get(step["child_id"])
        if child is None:
            yield f"I17: run {run.id}: the start at {seq} has no run"
        elif step["kind"] == "launch" and not _is_own(run, child, seq):
            yield f"I17: run {run.id}: the run of the start at {seq} belongs to another one"
    for child in children:
        start = starts.get(child.row["parent_seq"])
        if child.row["parent_seq"] <= run.row["base_seq"]:
            continue  # of an earlier generation, whose record is gone
        if start is None or start["child_id"] != child.id:
            yield f"I17: run {child.id} was started by {run.id}, which has no record of it"
        if (
            run.row["status"] == "completed"
            and child.row["status"] == "scheduled"
            and not child.row["due_at"]
        ):
            yield f"I17: run {run.id} is over, and {child.id} is held back for ever"
    launches = sum(step["kind"] == "launch" for step in starts.values())
    if launches == len(starts) and run.row["children"] != launches and not run.row["generation"]:
        yield f"I17: run {run.id} has started {launches} and counts {run.row['children']}"


def _is_own(run: Run, child: Run, seq: int) -> bool:
    """Whether a started step is the run's own; that of a fork belongs to the run it was forked from."""
    if child.row["parent_seq"] != seq:
        return False
    return child.row["parent_id"] == run.id or run.row["forked_from"] is not None


def _awaiting(run: Run, known: Mapping[str, Run]) -> Iterator[str]:
    """I16: a run that waits for others waits for as many as there are left, or for some of those."""
    if run.row["status"] != "awaiting_steps":
        return
    first, last, skip = (run.row[f"await_{name}"] for name in ("first", "last", "skip"))
    awaited = [
        known[step["child_id"]]
        for step in run.steps
        if step["child_id"] in known
        and first <= step["seq"] <= last
        and f",{step['seq']}," not in (skip or "")
    ]
    live = sum(child.row["status"] not in TERMINAL for child in awaited)
    live += sum(json.loads(run.row["await_events"] or "{}").values())
    if not 1 <= run.row["await_count"] <= live:
        yield f"I16: run {run.id} waits for {run.row['await_count']}, and {live} are left"


def _received(run: Run) -> Iterator[str]:
    """I10: every event that was taken is in the inbox, once; a run that waits for one has not got it already."""
    numbers = [event["number"] for event in run.events]
    complete = list(range(1, run.row["events"] + 1))
    if numbers != (complete if not run.row["generation"] else sorted(set(numbers) & set(complete))):
        yield f"I10: run {run.id} has received {run.row['events']} events and has {numbers}"
    ids = [event["event_id"] for event in run.events if event["event_id"] is not None]
    if len(ids) != len(set(ids)):
        yield f"I10: run {run.id} has received an event twice: {sorted(ids)}"
    if not run.row["status"].startswith("awaiting_") or run.row["await_events"] is None:
        return
    if any(step["kind"] in ("retry", "cancel") for step in run.steps) or run.row["generation"]:
        return  # what counts of its record is not for this judge to say
    over = {step["value"] for step in run.steps if step["kind"] == "timeout"}
    for name, wanted in json.loads(run.row["await_events"]).items():
        expected = [
            step
            for step in run.steps
            if step["kind"] == "event" and step["name"] == name and str(step["seq"]) not in over
        ]
        come = sum(event["name"] == name for event in run.events)
        if all(step["due_at"] is None for step in expected) and not 1 <= wanted <= len(expected) - come:
            yield f"I10: run {run.id} waits for {wanted} {name}, expected {len(expected)} and has received {come}"


def _in_line(run: Run, children: list[Run]) -> Iterator[str]:
    """I16: where some are held back, others of their lane are under way."""
    for lane in {child.row["lane"] for child in children} - {None}:
        states = [
            (child.row["status"], child.row["due_at"] is None)
            for child in children
            if child.row["lane"] == lane and child.row["status"] not in TERMINAL
        ]
        if states and all(state == ("scheduled", True) for state in states):
            yield f"I16: run {run.id}: {len(states)} of lane {lane} are held back, and none is under way"


def _at_rest(run: Run, may_stall: bool) -> Iterator[str]:
    """I1: every run reaches its end. I18: nobody owns it, nothing waits to be told."""
    status = run.row["status"]
    wanted = ("stalled",) if may_stall else TERMINAL
    if status not in wanted:
        yield f"I1: run {run.id} is {status} ({run.row['reason']}), not {' or '.join(wanted)}"
    for column in ("owner", "owner_pid", "claim_token", "due_at"):
        if run.row[column] is not None:
            yield f"I18: run {run.id} is {status} and has {column} {run.row[column]!r}"
    if run.row["control"] is not None:
        yield f"I18: run {run.id} is {status} and is asked to {run.row['control']}"
    if run.row["settlement"] is not None:
        yield f"I18: run {run.id} is {status} and its end was not confirmed"
    if status == "completed" and run.row["output"] is None:
        yield f"I1: run {run.id} is completed without a result"


def _written_once(run: Run) -> Iterator[str]:
    """I3: records have one place each, without gaps, and one outcome per call of an address."""
    places = [step["seq"] for step in run.steps]
    first = run.row["base_seq"] + 1
    if places != list(range(first, first + len(places))):
        yield f"I3: run {run.id} has records at {places}"
    open_attempts: Counter[str] = Counter()
    for step in run.steps:
        if step["kind"] == "attempt":
            open_attempts[step["address"]] += 1
            if step["attempt"] != open_attempts[step["address"]]:
                yield f"I3: run {run.id}: attempt {step['attempt']} of {step['address']} is recorded twice"
        elif step["kind"] == "task":
            tried = open_attempts.pop(step["address"], 0)
            if step["attempt"] not in (tried + 1, tried) and not _is_unknown_outcome(step):
                yield f"I3: run {run.id}: {step['address']} ended at attempt {step['attempt']} after {tried}"
        elif step["kind"] == "retry":
            open_attempts.clear()


def _unchanged(earlier: list[Run], now: list[Run]) -> Iterator[str]:
    """I3: what was recorded once is never written again."""
    known = {run.id: run for run in now}
    for before in earlier:
        after = known.get(before.id)
        if after is None:
            yield f"I1: run {before.id} is gone"
            continue
        for old, new in zip(before.steps, [*after.steps, *([None] * len(before.steps))], strict=False):
            if new is None or dict(old) != dict(new):
                yield f"I3: run {before.id}: record {old['seq']} was {dict(old)} and is {new and dict(new)}"


def _fenced(run: Run) -> Iterator[str]:
    """I7: epochs only grow; each belongs to one claim; the states follow one another as the table allows."""
    epochs = [step["epoch"] for step in run.steps]
    if epochs != sorted(epochs) or (epochs and epochs[-1] > run.row["epoch"]):
        yield f"I7: run {run.id} is at epoch {run.row['epoch']} and its records have {epochs}"
    moves = [line for line in run.history if line[2] != "history continued"]
    claims = sum(status == "running" for status, _, _ in moves)
    # A run that goes on as new keeps the last pages of its history only.
    if claims != run.row["epoch"] and not (run.row["generation"] and claims < run.row["epoch"]):
        yield f"I7: run {run.id} was claimed {claims} times and is at epoch {run.row['epoch']}"
    if moves[-1][0] != run.row["status"]:
        yield f"I7: run {run.id} is {run.row['status']} and its history ends in {moves[-1][0]}"
    for (source, _, _), (target, _, why) in pairwise(moves):
        if not (source == target == "queued" or is_allowed(RunStatus(source), RunStatus(target))):
            yield f"I7: run {run.id} went from {source} to {target} ({why})"


def _on_time(run: Run) -> Iterator[str]:
    """I9: what waits for an instant does not go on before it, and goes on once."""
    for step, following in pairwise(run.steps):
        if following["kind"] in ("wake", "cancel"):
            continue  # somebody has ended it
        # A retry by hand waits for nothing.
        if step["kind"] in ("sleep", "retry") and following["started_at"] < (step["due_at"] or 0):
            early = (step["due_at"] - following["started_at"]) / 1e6
            yield f"I9: run {run.id}: record {following['seq']} began {early:.3f} s before {step['address']} was over"
    if run.row["generation"] or run.row["forked_from"]:
        return  # its history and its record do not begin together
    sleeps = [step["due_at"] for step in run.steps if step["kind"] == "sleep"]
    parked = [index for index, line in enumerate(run.history) if line[0] == "sleeping"]
    if len(parked) < len(sleeps):
        yield f"I9: run {run.id} recorded {len(sleeps)} sleeps and slept {len(parked)} times"
    for index in parked:
        if index + 1 < len(run.history) and run.history[index + 1][2].startswith(BY_HAND):
            continue
        if index + 1 < len(run.history) and not any(due <= run.history[index + 1][1] for due in sleeps):
            yield f"I9: run {run.id} woke at {run.history[index + 1][1]}, before any of {sleeps}"


def _within_attempts(run: Run, max_attempts: Mapping[str, int]) -> Iterator[str]:
    """I12: attempts stay within their number, and no wait is shorter than the one drawn."""
    if run.row["kind"] == "step" and _tries(run) > max_attempts.get(run.row["workflow"], _tries(run)):
        yield f"I12: step {run.id} of {run.row['workflow']} was tried {_tries(run)} times"
    drawn: dict[str, int] = {}
    for step in run.steps:
        if step["kind"] not in ("attempt", "task") or _is_unknown_outcome(step):
            continue
        limit = max_attempts.get(step["name"])
        if limit is not None and step["attempt"] > limit:
            yield f"I12: run {run.id}: {step['name']} was tried {step['attempt']} times, not {limit}"
        due = drawn.pop(step["address"], 0)
        if step["started_at"] < due:
            yield f"I12: run {run.id}: attempt {step['attempt']} of {step['address']} began before its delay was over"
        if step["kind"] == "attempt":
            drawn[step["address"]] = step["due_at"]


def _judge_effects(runs: list[Run], effects: Effects, crashes: int, found: Findings) -> None:
    """I5: each recorded act had its effect, with one repeat per crash at most. I6: none began after its record."""
    had = [effect for effect in effects.all() if "key" in effect]
    found.effects = len(had)
    left = Counter(_place(effect["key"]) for effect in had)
    names = {step["address"]: step["name"] for run in runs for step in run.steps}
    telling = {names[address] for _, address in left if address in names}
    known = {run.id: run for run in runs}
    for run in runs:
        if run.row["kind"] == "step":
            continue  # its effects are those of the run that has started it
        acts: Counter[str] = Counter()
        starts: Counter[str] = Counter()
        for step in run.steps:
            if (
                step["name"] in telling and step["epoch"]
            ):  # one of a fork's origin has none: that run's effects are its own
                acts[step["address"]] += step["kind"] in ("attempt", "task") and not _is_unknown_outcome(step)
                starts[step["address"]] += step["kind"] == "start"
                if step["kind"] == "launch":
                    acts[step["address"]] += _tries(known[step["child_id"]])
                    starts[step["address"]] += any(
                        note["kind"] == "start" for note in known[step["child_id"]].steps
                    )
        for address, recorded in acts.items():
            times = left.pop((_generation_of(run), address), 0)
            if times < recorded:
                found.wrong.append(f"I5: run {run.id}: {address} has {recorded} records and {times} effects")
            elif not starts[address]:
                found.repeats += times - recorded
            elif times > starts[address]:
                found.wrong.append(f"I5: run {run.id}: at-most-once {address} had {times} effects")
        if run.row["status"] in ("stalled", "cancelled"):
            # The step in flight had its effects and no outcome: its process died, and it was not to be run again.
            found.repeats += sum(left.pop(place) for place in list(left) if place[0] == run.id)
        found.repeats += _repeated_earlier(run, had, left)
        found.wrong += _too_late(run, known, had)
    if found.repeats > crashes:
        found.wrong.append(f"I5: {found.repeats} effects were repeated, with {crashes} crashes")
    for (run_id, address), times in left.items():
        found.wrong.append(f"I5: {times} effects of {address} in run {run_id}, which has no record of it")


def _tries(step: Run) -> int:
    """How many attempts of a started step came to their end."""
    ended = step.row["status"] in ("completed", "failed") and not _says_unknown(step.row["error"])
    return sum(note["kind"] == "attempt" for note in step.steps) + ended


def _too_late(run: Run, known: Mapping[str, Run], effects: list[dict[str, Any]]) -> Iterator[str]:
    """I6, for runs that were not tried again as a whole."""
    if any(step["kind"] == "retry" for step in run.steps):
        return
    ends: dict[str, list[float]] = {}
    for step in run.steps:
        if step["kind"] == "task":
            ends.setdefault(step["address"], []).append(step["finished_at"] / 1e6)
        elif step["kind"] == "launch" and known[step["child_id"]].row["finished_at"] is not None:
            finished_at = known[step["child_id"]].row["finished_at"]
            ends.setdefault(step["address"], []).append(finished_at / 1e6)
    for effect in effects:
        owner, address = _place(effect["key"])
        ordinal = int(effect["key"].rpartition(":")[2].rpartition(".")[2])
        if owner == _generation_of(run) and ordinal < len(ends.get(address, [])):
            late = effect["at"] - ends[address][ordinal]
            if late > LAG:
                yield f"I6: run {run.id}: an effect of {address} came {late:.3f} s after its result was recorded"


def _repeated_earlier(run: Run, had: list[dict[str, Any]], left: Counter[tuple[str, str]]) -> int:
    """How many effects of earlier generations were repeats; their records are gone."""
    earlier = {run.id, *(f"{run.id}~{number}" for number in range(1, run.row["generation"]))}
    if not run.row["generation"]:
        return 0
    for place in [place for place in left if place[0] in earlier]:
        del left[place]
    told = [(effect["key"], effect.get("attempt")) for effect in had if _place(effect["key"])[0] in earlier]
    return len(told) - len(set(told))


def _generation_of(run: Run) -> str:
    return f"{run.id}~{run.row['generation']}" if run.row["generation"] else run.id


def _place(key: str) -> tuple[str, str]:
    """The run, with its generation where that is a later one, and the address."""
    run_id, _, rest = key.partition(":")
    address, _, ordinal = rest.rpartition(":")
    generation, _, _ = ordinal.rpartition(".")
    return f"{run_id}~{generation}" if generation else run_id, address


def _is_unknown_outcome(step: Mapping[str, Any]) -> bool:
    """Whether the record says only that nobody knows."""
    return step["status"] == "failed" and _says_unknown(step["value"])


def _says_unknown(error: str | None) -> bool:
    value = json.loads(error) if error else None
    return isinstance(value, dict) and value.get("type") == "OutcomeUnknown"


def _line(line: str) -> tuple[str, int, str]:
    status, at, why = line.split("\t", 2)
    return status, int(at), why
