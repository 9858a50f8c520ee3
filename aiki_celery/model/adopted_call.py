"""What the message of a started Celery task is made from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AdoptedCall:
    """What the message of a started Celery task carries.

    Attributes:
        name: Name of the task.
        input: Its arguments, as JSON text.
        call: What its worker needs to know of the call, as JSON text.
        attempt: Which of Celery's tries it is about, counting from 1.
        has_begun: Whether a worker has taken it before.
    """

    name: str
    input: str
    call: str
    attempt: int
    has_begun: bool = False
