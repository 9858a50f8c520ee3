"""Aiki: inline steps in one process and through a worker, replay, one-step workflows through a worker."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

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

    @contextmanager
    def _worker(self) -> Iterator[None]:
        self._ensure_schema()
        with WorkerProcess("benchmarks.app", pool="prefork", concurrency=2, env=self.env, log_level="info"):
            yield

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
