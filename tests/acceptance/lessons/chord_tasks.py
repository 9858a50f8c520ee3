"""The parts of chords: existing tasks, which know nothing of Aiki."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from celery import shared_task

from tests.harness.effects import record_effect


@shared_task(name="chord-part")
def part(side: str, name: str, seconds: float = 0.0) -> str:
    record_effect("part", side=side, part=name)
    time.sleep(seconds)
    return name


@shared_task(name="chord-body")
def body(results: list[str], side: str) -> str:
    record_effect("body", side=side)
    return "+".join(results)


@shared_task(name="chord-passing-on")
def passing_on(result: Any, side: str, name: str) -> str:
    record_effect("part", side=side, part=name)
    return f"{result}>{name}"


@shared_task(name="chord-part-mended-by")
def mended_by(side: str, name: str, file: str) -> str:
    record_effect("part", side=side, part=name)
    if not Path(file).exists():
        raise RuntimeError(f"{name} is broken")
    return name
