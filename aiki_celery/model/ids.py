"""Ids of runs: time-ordered UUIDs, so that new rows lie side by side in the journal's index."""

from __future__ import annotations

import os
import time
import uuid

#: Longest id of a run, in characters: the journal's column.
MAX_ID = 155


def child_run_id(parent_id: str, seq: int) -> str:
    """Give the id of a run that another one starts: the parent's, and the place of the start in its record."""
    named = f"{parent_id}.{seq}"
    return named if len(named) <= MAX_ID else new_run_id()


def new_run_id() -> str:
    """Give a new UUID version 7 (RFC 9562, section 5.7): 48 bits of milliseconds, then random bits."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds << 80) | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | (0x7 << 76)
    value = value & ~(0x3 << 62) | (0x2 << 62)
    return str(uuid.UUID(int=value))
