"""Which runs a process can send messages about."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import ColumnElement, or_

from aiki_celery.model.status import RunKind


def can_send(runs: Any, definitions: Collection[str]) -> ColumnElement[bool]:
    """Give the SQL of "a run whose message this process can send".

    A task of another service is sent by name, by whoever comes by; anything else by a process that has its definition.

    Args:
        runs: The table.
        definitions: Those that this process has.
    """
    return or_(runs.c.definition.in_(list(definitions)), runs.c.kind == RunKind.FOREIGN.value)
