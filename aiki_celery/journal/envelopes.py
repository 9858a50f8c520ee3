"""What a message about a run is made from, as columns and as a record."""

from __future__ import annotations

from typing import Any

from aiki_celery.model.records import Envelope
from aiki_celery.model.status import RunKind

ENVELOPE_COLUMNS = ("id", "workflow", "version", "queue", "priority", "request", "kind")


def envelope(row: Any) -> Envelope:
    """Read a row that begins with the envelope's columns."""
    run_id, workflow, version, queue, priority, request, kind = row[: len(ENVELOPE_COLUMNS)]
    return Envelope(run_id, workflow, version, queue, priority, request, RunKind(kind))
