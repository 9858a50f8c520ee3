"""Measurements taken in child processes: each prints ``{"value": ...}`` lines."""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIMIT_SECONDS = 600


class ChildFailed(Exception):
    """A child ended with an error; the message is the end of what it said."""


def values(command: list[str], env: Mapping[str, str] | None = None) -> tuple[float, ...]:
    """Run ``command`` from the project's root and return the values it prints, one per round."""
    return columns(command, env)["value"]


def columns(command: list[str], env: Mapping[str, str] | None = None) -> dict[str, tuple[float, ...]]:
    """Run ``command`` and return, by name, everything it measures in each round."""
    child = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **(env or {})},
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    found = [row for row in map(parse, child.stdout.splitlines()) if row]
    if child.returncode or not found:
        raise ChildFailed(f"exit status {child.returncode}: {(child.stderr or child.stdout)[-1500:]}")
    return {name: tuple(row[name] for row in found) for name in found[0]}


def parse(line: str) -> dict[str, float]:
    return json.loads(line) if line.startswith('{"value"') else {}
