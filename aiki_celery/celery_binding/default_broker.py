"""Without a broker, messages go through the journal's own SQLite file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from aiki_celery.settings import AikiSettings


def choose_broker(conf: Any, journal: str | None) -> None:
    """Name the embedded broker where the application names none and its journal is a SQLite file.

    Args:
        conf: Celery's settings.
        journal: The journal that was given to ``Aiki``, if any.
    """
    named = conf.get("broker_url") or conf.get("broker_read_url") or os.environ.get("CELERY_BROKER_URL")
    journal = journal or os.environ.get("AIKI_JOURNAL") or conf.get("aiki_journal")
    journal = journal or AikiSettings.model_fields["journal"].default
    if not named and str(journal).startswith("sqlite"):
        file = str(journal).partition(":///")[2].partition("?")[0]
        conf.broker_url = f"aiki+sqlite:///{file if file.startswith('/') else Path(file)}"
