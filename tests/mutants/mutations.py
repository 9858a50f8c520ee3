"""The mutations. As a pytest plugin (`-p tests.mutants.mutations`), this applies the one named by `TEST_MUTANT`."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any

from aiki_celery.definitions.signature import Signature
from aiki_celery.engine.sweeps.redelivery import Redelivery
from aiki_celery.journal.statement import Statement

MUTANT_ENV = "TEST_MUTANT"


def rewrite(change: Callable[[str], str]) -> None:
    """Changes the SQL of every statement that is compiled from here on."""
    original: Any = Statement.__init__

    def changed(self: Statement, *arguments: Any) -> None:
        original(self, *arguments)
        self.sql = change(self.sql)

    Statement.__init__ = changed  # type: ignore[method-assign]


def fencing_off() -> None:
    """Writes carry their claim, and nobody compares it; nor whether the run is still held."""
    fence = ("aiki_runs.epoch = ?", "aiki_runs.claim_token = ?", "aiki_runs.status = ?")

    def unfenced(sql: str) -> str:
        if not all(part in sql for part in fence):
            return sql
        for part in fence:
            sql = sql.replace(part, "? IS NOT NULL")
        return sql

    rewrite(unfenced)


def write_once_off() -> None:
    """A record is written over the one in its place."""
    rewrite(lambda sql: sql.replace("INSERT INTO aiki_steps", "INSERT OR REPLACE INTO aiki_steps"))


def redelivery_off() -> None:
    """Nobody publishes a queued run again."""
    Redelivery.sweep = lambda self: 0  # type: ignore[method-assign]


def input_hash_off() -> None:
    """Every input has the same hash."""
    Signature.hash = lambda self, values: "0" * 40  # type: ignore[method-assign]


def count_off_lock_off() -> None:
    """The end of a child touches its parent's row, and so locks it, only where the parent waits."""
    waits = "aiki_runs.status = 'awaiting_steps'"

    def conditional(sql: str) -> str:
        is_count_off = sql.startswith("UPDATE aiki_runs SET await_count=CASE")
        return re.sub(r"(WHERE aiki_runs\.id = \S+)", rf"\1 AND {waits}", sql) if is_count_off else sql

    rewrite(conditional)


def lane_release_off() -> None:
    """The end of a child finds nobody in its lane."""
    rewrite(lambda sql: sql.replace("aiki_runs.lane = ", "1 = 0 AND aiki_runs.lane = "))


def heartbeat_fence_off() -> None:
    """A step's report carries its claim, and nobody compares it."""
    fence = r"aiki_runs\.(epoch|claim_token|status) = (\S+)"

    def unfenced(sql: str) -> str:
        return re.sub(fence, r"\2 IS NOT NULL", sql) if "SET details=" in sql else sql

    rewrite(unfenced)


MUTATIONS: dict[str, Callable[[], None]] = {
    "fencing": fencing_off,
    "write-once": write_once_off,
    "redelivery": redelivery_off,
    "input-hash": input_hash_off,
    "count-off-lock": count_off_lock_off,
    "lane-release": lane_release_off,
    "heartbeat": heartbeat_fence_off,
}

if mutant := os.environ.get(MUTANT_ENV):
    MUTATIONS[mutant]()
