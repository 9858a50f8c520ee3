"""Ids in parts: a statement takes only so many parameters, 65,535 on PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection

#: How many runs one statement names.
BATCH = 5000


def batches(ids: Collection[str]) -> list[list[str]]:
    """Give ids in parts that one statement each can name."""
    listed = list(ids)
    return [listed[first : first + BATCH] for first in range(0, len(listed), BATCH)]
