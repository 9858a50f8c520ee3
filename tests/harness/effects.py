"""The judge's own store: what steps did, counted apart from everything that gets killed.

An append-only file, one JSON line per effect. Each line is one `write` with `O_APPEND`, so lines of several
processes never mix, and what was written stays when its writer is killed.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

EFFECTS_ENV = "TEST_EFFECTS_FILE"


class Effects:
    """Records effects and counts them."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.path.touch()

    @classmethod
    def from_env(cls) -> Effects:
        """The store named by the environment: for steps inside worker processes."""
        return cls(os.environ[EFFECTS_ENV])

    @property
    def env(self) -> dict[str, str]:
        """What a worker process needs in its environment to record here."""
        return {EFFECTS_ENV: str(self.path)}

    def record(self, name: str, **facts: Any) -> None:
        """Appends one effect, with its time (Unix seconds) and the process that had it."""
        effect = {"name": name, "at": time.time(), "pid": os.getpid(), **facts}
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(descriptor, json.dumps(effect, default=str).encode() + b"\n")
        finally:
            os.close(descriptor)

    def all(self, name: str | None = None, **facts: Any) -> list[dict[str, Any]]:
        """Every effect in the order written, or those of one name and with these facts."""
        effects = [json.loads(line) for line in self.path.read_text().splitlines()]
        return [
            effect
            for effect in effects
            if name in (None, effect["name"])
            and all(key in effect and effect[key] == fact for key, fact in facts.items())
        ]

    def count(self, name: str, **facts: Any) -> int:
        """How many times the effect was had."""
        return len(self.all(name, **facts))


def record_effect(name: str, **facts: Any) -> None:
    """Records where the environment says: the one line a step in a worker needs."""
    Effects.from_env().record(name, **facts)


def await_effect(name: str, timeout: float = 60.0) -> None:
    """Waits until the judge knows of an effect: for work that is under way until the test says so."""
    effects, deadline = Effects.from_env(), time.monotonic() + timeout
    while not effects.count(name):
        assert time.monotonic() < deadline, f"nobody recorded {name!r} within {timeout:g} s"
        time.sleep(0.02)
