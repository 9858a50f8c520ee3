"""What the engine needs of its host: somebody who sends messages, and somebody who says when to let go."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from aiki_celery.model.records import Envelope


class Dispatcher(Protocol):
    """Sends messages about runs. A message is only a wake-up hint: losing one delays a run, it never loses it."""

    def publish(self, envelopes: Sequence[Envelope]) -> list[str]:
        """Send a message for each run, and give the ids of those whose message was not accepted."""

    def depth(self, queue: str | None) -> int:
        """Tell how many messages wait in a queue, zero where there is no such queue."""


#: Sends messages, and notes in the journal which were not accepted.
Publish = Callable[[Sequence[Envelope]], None]


@dataclass(frozen=True, slots=True)
class CeleryCall:
    """A call of a Celery task, as a signature describes it."""

    name: str
    args: Sequence[Any]
    kwargs: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CeleryOptions:
    """How a Celery task is to be sent.

    Attributes:
        queue: Where Celery routes it, as far as that is known.
        text: Its options as JSON text.
        delay: Seconds until it is to be sent.
        is_foreign: Whether this application does not have the task.
    """

    queue: str | None
    text: str | None
    delay: float | None
    is_foreign: bool


class Signatures(Protocol):
    """Reads the signatures of Celery tasks."""

    def call_of(self, signature: Any) -> CeleryCall:
        """Give what a signature calls.

        Raises:
            InputInvalid: It is no signature of one task.
        """

    def options_of(self, signature: Any, call: CeleryCall, now: int) -> CeleryOptions:
        """Give how it is to be sent; ``now`` is an instant in microseconds.

        Raises:
            InputInvalid: The arguments do not fit the task, or an option cannot be used here.
            NotJournalable: An option has no JSON form.
        """


class Host(Protocol):
    """Says whether a pass should let go of its run at the next step."""

    def should_let_go(self, held_for: float) -> str | None:
        """Give the reason to hand a run over that has been held for so many seconds, or None to go on."""

    @property
    def is_ending(self) -> bool:
        """Whether a process that is told to exit should hand its run over: nobody else will decide about it."""

    def is_time_limit(self, error: BaseException) -> bool:
        """Tell whether an exception is the one by which the host says that the time of a step is over."""

    def outlives(self, error: BaseException) -> bool:
        """Tell whether the process goes on after code has raised what asks for its end: others run in it too."""


class Forever:
    """The host of a run in the caller's own process: nobody ends it but itself."""

    def should_let_go(self, held_for: float) -> str | None:
        """Never."""
        return None

    @property
    def is_ending(self) -> bool:
        """A script that is told to exit is ending."""
        return True

    def is_time_limit(self, error: BaseException) -> bool:
        """Never."""
        return False

    def outlives(self, error: BaseException) -> bool:
        """Never: a script that its code ends is ending."""
        return False
