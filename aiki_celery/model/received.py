"""An event that a run has received."""

from __future__ import annotations

from typing import NamedTuple


class Received(NamedTuple):
    """An event that was sent to a run.

    Attributes:
        number: Its place among all that the run has received, counting from 1.
        name: Name of the event.
        payload: What was sent, as JSON text.
        sent_at: When, in microseconds.
        event_id: The id under which it counts once.
    """

    number: int
    name: str
    payload: str
    sent_at: int
    event_id: str | None = None


class Stretch(NamedTuple):
    """Events of one name that follow one another among those of that name.

    Attributes:
        name: Name of the events.
        first: Place of the first of them.
        last: Place of the last.
    """

    name: str
    first: int
    last: int
