"""What a fork takes from the run it is made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Marker:
    """What puts a part of the copied record aside: the name of the record that says so, and what it says."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class ForkPlan:
    """A run that is to be made from another one's record. Instants and the rest of its row are that one's.

    Attributes:
        run_id: Its id.
        origin_id: The run it is made from.
        generation: The generation of that one which the plan was made for.
        version: Which version of the workflow it has.
        queue: Celery queue; None for the origin's.
        reference_id: The caller's own name for it.
        cut: Records of lower places are copied.
        marker: What is put aside of them.
        attempt: Which attempt of the workflow it is.
        starts: How many steps and children are among what is copied.
        followed: Of these, those that count and were not over when the plan was made: places by the ids of their runs.
        consumed: By the names of events, the number in the inbox of the last one that is copied.
        call: Who made what is copied, as JSON text.
    """

    run_id: str
    origin_id: str
    generation: int
    version: str
    queue: str | None
    reference_id: str | None
    cut: int
    marker: Marker | None
    attempt: int
    starts: int
    followed: Mapping[str, tuple[int, ...]]
    consumed: Mapping[str, int]
    call: str | None
