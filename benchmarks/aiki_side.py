"""Aiki: inline steps in one process and through a worker, replay, one-step workflows through a worker."""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.children import columns, values
from benchmarks.figures import Figure
from tests.harness.worker import WorkerProcess

CHILD = [sys.executable, "-m", "benchmarks.aiki_child"]


class AikiSide:
    """One journal and one broker, and what is measured on them.

    Args:
        place: ``postgres`` or ``sqlite``.
        journal: URL of the journal's database.
        broker: URL of the broker; None for the embedded one.
        rounds: how often each measurement is repeated.
    """

    def __init__(self, place: str, journal: str, broker: str | None, rounds: int) -> None:
        self.place = place
        self.rounds = rounds
        self.has_schema = False
        self.env = {"BENCH_JOURNAL": journal}
        if broker:
            self.env["BENCH_BROKER"] = broker

    def inline(self, steps: int) -> Iterator[Figure]:
        note = f"one workflow of {steps:,} steps, apply()"
        self._ensure_schema()
        found = columns([*CHILD, "inline", str(steps), str(self.rounds)], self.env)
        yield Figure("aiki.inline", self.place, "steps/s", found["value"], note)
        yield Figure(
            "raw.core.beside", self.place, "steps/s", found["core"], "the Core loop in turns with it"
        )

    def replay(self, steps: int) -> Iterator[Figure]:
        note = f"{steps:,} recorded steps, from the claim to the end of the replay"
        yield Figure(f"aiki.replay.{steps}", self.place, "ms", self._child("replay", steps), note)

    def worker(self, steps: int) -> Iterator[Figure]:
        with self._worker():
            rates = self._child("worker", steps)
        note = f"the same, enqueue() to get() through {self._broker}"
        yield Figure("aiki.worker", self.place, "steps/s", rates, note)

    def throughput(self, workflows: int) -> Iterator[Figure]:
        with self._worker():
            rates = self._child("drain", workflows)
        note = f"{workflows:,} enqueued together and drained, -c 2, {self._broker}"
        yield Figure("aiki.throughput", self.place, "workflows/s", rates, note)

    def fan_out(self, count: int, rounds: int) -> Iterator[Figure]:
        with self._worker():
            times = values([*CHILD, "fan-out", str(count), str(rounds)], self.env)
        note = f"{count:,} steps started and gathered, -c 2, {self._broker}"
        yield Figure(f"aiki.fan-out.{count}", self.place, "ms", times, note)

    def transactional(self, count: int) -> Iterator[Figure]:
        self._ensure_schema()
        notes = {
            "starts": (
                "starts/s",
                f"{count:,} runs, each in a transaction with a row; messages to {self._broker}",
            ),
            "batch": ("starts/s", "the same, a hundred in a transaction"),
            "steps": ("steps/s", f"one workflow of {count:,} transactional steps, apply()"),
        }
        for mode, (unit, note) in notes.items():
            command = [sys.executable, "-m", "benchmarks.transactional_child", mode]
            found = columns([*command, str(count), str(self.rounds)], self.env)
            yield Figure(f"aiki.tx.{mode}", self.place, unit, found["value"], note)
            yield Figure(
                f"raw.tx.{mode}", self.place, unit, found["plain"], "a plain row instead, in turns with it"
            )

    def sleepers(self, count: int, rounds: int) -> Iterator[Figure]:
        found = self._waiting("sleepers", count, rounds)
        note = f"{count:,} sleeping runs, none due, a worker of -c 2"
        yield Figure("aiki.idle", self.place, "statements/s", found["value"], note)
        yield Figure(
            "aiki.idle.cpu", self.place, "% of a core", found["cpu"], "the same worker, all its processes"
        )
        yield Figure("aiki.due", self.place, "ms", found["look"], "the look for the next timer among them")
        for moment in ("queued", "claimed"):
            for part in ("p50", "p99"):
                late = found[f"{moment} {part}"]
                yield Figure(
                    f"aiki.timer.{moment}.{part}", self.place, "ms", late, f"late: from due to {moment}"
                )

    def events(self, runs: int, rounds: int) -> Iterator[Figure]:
        found = self._waiting("events", runs, rounds)
        note = f"10 events to each of {runs:,} waiting runs, by one process"
        yield Figure("aiki.events.sent", self.place, "events/s", found["sent"], note)
        yield Figure(
            "aiki.events.heard", self.place, "events/s", found["value"], "until the last run is over, -c 2"
        )

    def _waiting(self, mode: str, count: int, rounds: int) -> dict[str, tuple[float, ...]]:
        """Measure what waiting runs cost the worker beside them."""
        with tempfile.NamedTemporaryFile(prefix="bench-") as counted:
            Path(counted.name).write_bytes(bytes(8))
            with self._worker({"BENCH_STATEMENTS": counted.name}) as worker:
                env = self.env | {"BENCH_COUNTED": counted.name, "BENCH_WORKER": str(worker.pid)}
                return columns(
                    [sys.executable, "-m", "benchmarks.waiting_child", mode, str(count), str(rounds)], env
                )

    @contextmanager
    def _worker(self, env: dict[str, str] | None = None) -> Iterator[WorkerProcess]:
        self._ensure_schema()
        with WorkerProcess(
            "benchmarks.app", pool="prefork", concurrency=2, env=self.env | (env or {}), log_level="info"
        ) as worker:
            yield worker

    @property
    def _broker(self) -> str:
        return self.env["BENCH_BROKER"].partition(":")[0] if "BENCH_BROKER" in self.env else "embedded"

    def _child(self, mode: str, count: int) -> tuple[float, ...]:
        self._ensure_schema()
        return values([*CHILD, mode, str(count), str(self.rounds)], self.env)

    def _ensure_schema(self) -> None:
        if not self.has_schema:
            values([*CHILD, "upgrade", "0", "0"], self.env)
            self.has_schema = True
