"""Aiki in a process of its own; prints one JSON object per round.

    python -m benchmarks.aiki_child upgrade|inline|replay|worker|drain|fan-out COUNT ROUNDS

- ``upgrade``: makes the journal's schema.
- ``inline``: steps/s of a workflow of COUNT steps, by ``apply()`` in this process; the Core loop in turns with it.
- ``replay``: milliseconds from the claim to the end of the replay of COUNT recorded steps: two statements
  and the walk through the code.
- ``worker``: steps/s of a workflow of COUNT steps, from ``enqueue()`` to ``get()``, through a running worker.
- ``drain``: workflows/s of COUNT one-step workflows, enqueued together, until the last is finished.
- ``fan-out``: milliseconds of a workflow that starts COUNT steps and gathers them, from ``enqueue()`` to ``get()``.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import sqlalchemy as sa

from benchmarks import app, raw
from benchmarks.figures import rates

mode, count, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
TIMEOUT_SECONDS = 300
claimed_at = 0.0


def upgrade() -> Iterator[float]:
    app.aiki.upgrade_journal()
    yield 0


def inline() -> Iterator[dict[str, float]]:
    app.many_steps.apply((20,)).get()
    with raw.engine_on(app.JOURNAL) as engine, raw.core_loop(engine) as core:
        core(20)
        for _ in range(rounds):
            [beside] = rates(lambda: core(count), count, 1)
            started = time.perf_counter()
            assert app.many_steps.apply((count,)).get() == count
            yield {"value": count / (time.perf_counter() - started), "core": beside}


def fan_out() -> Iterator[float]:
    app.fan_out.enqueue(10).get(timeout=TIMEOUT_SECONDS)
    for _ in range(rounds):
        started = time.perf_counter()
        assert app.fan_out.enqueue(count).get(timeout=TIMEOUT_SECONDS) == count * (count + 1) // 2
        yield (time.perf_counter() - started) * 1000


def replay() -> Iterator[float]:
    sa.event.listen(sa.Engine, "before_cursor_execute", note_claim)
    claims: list[float] = []
    arrivals: list[float] = []

    def arrive() -> None:
        claims.append(claimed_at)
        arrivals.append(time.perf_counter())

    app.on_arrival = arrive
    app.many_steps_and_waits.apply((count, rounds)).get()
    assert len(set(claims)) == rounds + 1, "each pass claims the run anew"
    # The first pass ran the steps, the others replayed them.
    for claim, arrival in list(zip(claims, arrivals, strict=True))[1:]:
        yield (arrival - claim) * 1000


def note_claim(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
    global claimed_at
    if statement.startswith("UPDATE") and "claim_token" in statement:
        claimed_at = time.perf_counter()


def worker() -> Iterator[float]:
    app.many_steps.enqueue(20).get(timeout=TIMEOUT_SECONDS)
    for _ in range(rounds):
        started = time.perf_counter()
        assert app.many_steps.enqueue(count).get(timeout=TIMEOUT_SECONDS) == count
        yield count / (time.perf_counter() - started)


def drain() -> Iterator[float]:
    app.one_step.enqueue(0).get(timeout=TIMEOUT_SECONDS)
    for _ in range(rounds):
        started = time.perf_counter()
        handles = app.one_step.enqueue_many([(number,) for number in range(count)])
        wait_until_drained()
        yield count / (time.perf_counter() - started)
        assert handles[-1].get(timeout=TIMEOUT_SECONDS) == count


def wait_until_drained() -> None:
    """Poll with one statement for all: a ``get()`` for each would slow the worker down."""
    engine = sa.create_engine(app.JOURNAL, isolation_level="AUTOCOMMIT")
    query = sa.text("SELECT 1 FROM aiki_runs WHERE status NOT IN ('completed', 'failed', 'stalled') LIMIT 1")
    deadline = time.monotonic() + TIMEOUT_SECONDS
    with engine.connect() as connection:
        while connection.execute(query).first():
            assert time.monotonic() < deadline, "the worker does not finish"
            time.sleep(0.02)
    engine.dispose()


modes: dict[str, Callable[[], Iterator[Any]]] = {
    "upgrade": upgrade,
    "inline": inline,
    "replay": replay,
    "worker": worker,
    "drain": drain,
    "fan-out": fan_out,
}
for value in modes[mode]():
    print(json.dumps(value if isinstance(value, dict) else {"value": value}), flush=True)
