"""``run.patched(id)``: whether a run takes code that was inserted, decided once and recorded."""

from __future__ import annotations

from aiki_celery.engine.current_pass import Pass
from aiki_celery.engine.fact_records import new_fact
from aiki_celery.model.status import StepKind


def patched(current: Pass, name: str) -> bool:
    """Tell whether a run takes what a patch guards.

    It does if it came here with nothing recorded beyond, which is written down; whoever was further already has done
    without, and goes on without. A marker never means that code and record have parted, so it outlives its guard.
    """
    address = f"patch:{name}"
    if current.record.take_fact(address) is not None:
        return True
    if current.record.goes_on:
        return False
    current.cancel_here()
    current.write(new_fact(current, StepKind.PATCH, name, address))
    return True
