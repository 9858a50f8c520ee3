"""How a step tells the judge: its effect, under the step's own key."""

from __future__ import annotations

from typing import Any

from aiki_celery import current_step
from tests.harness.effects import record_effect


def tell(name: str, **facts: Any) -> None:
    """Records the effect of the step this is called in, with what `invariants` needs to judge it."""
    step = current_step()
    record_effect(name, key=step.idempotency_key, attempt=step.attempt, **facts)
