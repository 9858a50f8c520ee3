"""Who made what is in the record of a run that was forked from another one.

What a run derives from its id - idempotency keys, random draws - has to come out in a fork as it did in the run that
made it, up to the place at which the fork begins.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pydantic_core import from_json, to_json


class Origin(NamedTuple):
    """A part of a record: by which run it was made, in which generation, and up to which place."""

    run_id: str
    generation: int
    last_seq: int


def write_origins(origins: Sequence[Origin]) -> str | None:
    """Write the parts in order as JSON text; None where all is the run's own."""
    return to_json({"origins": origins}).decode() if origins else None


def read_origins(text: str | None) -> tuple[Origin, ...]:
    """Read what :func:`write_origins` has written."""
    return tuple(Origin(*origin) for origin in from_json(text or "{}").get("origins", ()))
