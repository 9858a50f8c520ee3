"""A run as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from aiki_celery.model.progress import read_progress
from aiki_celery.model.records import RunView


def facts_of(run: RunView) -> dict[str, Any]:
    """Give what is known of a run as plain data; of its progress the numbers, and the share that is done."""
    facts = asdict(run)
    progress = read_progress(facts.pop("progress_note"))
    if progress is not None:
        told = asdict(progress) | {"fraction": progress.fraction, "at": progress.at.isoformat()}
    return facts | {"progress": None if progress is None else told}
