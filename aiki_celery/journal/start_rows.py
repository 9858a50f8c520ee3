"""The rows of starts: a record in the run that starts, and the run that it makes."""

from __future__ import annotations

from typing import Any

from aiki_celery.journal.starts import common_row
from aiki_celery.model.clock import MICROSECOND
from aiki_celery.model.records import Claim, NewChild, StepRecord


def start_row(claim: Claim, step: StepRecord) -> dict[str, Any]:
    """Give the columns of a record of a start."""
    return {
        "run_id": claim.run_id,
        "seq": step.seq,
        "kind": step.kind.value,
        "name": step.name,
        "address": step.address,
        "status": step.status.value,
        "attempt": step.attempt,
        "epoch": step.epoch,
        "started_at": step.started_at,
        "finished_at": step.finished_at,
        "due_at": step.due_at,
        "child_id": step.child_id,
    }


def child_row(claim: Claim, child: NewChild) -> dict[str, Any]:
    """Give the columns of a run that is started, but for those of its state."""
    row = common_row(child.run) | {
        "kind": child.kind.value,
        "parent_id": claim.run_id,
        "parent_seq": child.parent_seq,
        "on_close": child.on_close,
        "lane": child.lane,
        "timeout": child.timeout,
        "call": child.call,
    }
    if child.run.delay and not child.is_held:
        row["delay"] = int(child.run.delay * MICROSECOND)
    return row
