"""Sending one event to many runs of a workflow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

from aiki_celery.definitions.current import current_runtime
from aiki_celery.definitions.in_thread import in_thread

if TYPE_CHECKING:
    from aiki_celery.definitions.event import Event

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SendOutcome:
    """What became of an event for one of many runs.

    Attributes:
        reference_id: The run's reference id.
        run_id: Id of the run; None if there is none.
        status: ``delivered``; ``duplicate`` if one with this id had come before; ``finished`` if the run is over;
            ``unknown`` if no run has the reference id; ``full`` if the run has ``aiki_max_events`` already.
    """

    reference_id: str
    run_id: str | None
    status: Literal["delivered", "duplicate", "finished", "unknown", "full"]


class _Named(Protocol):
    @property
    def name(self) -> str: ...


class Recipients:
    """What a workflow definition has to send to its runs."""

    def send_many(
        self: _Named, event: Event[T], payload: T, *, reference_ids: Sequence[str], id: str | None = None
    ) -> list[SendOutcome]:
        """Send an event to the runs of this workflow, of any version, that have these reference ids.

        Each is sent to by itself, so that one that is over keeps nothing from the others.

        Args:
            event: The event.
            payload: What is sent.
            reference_ids: Those of the runs.
            id: The sender's own name for the event, under which each run counts it once.

        Returns:
            What became of it, in the order of the reference ids.

        Raises:
            InputInvalid: The payload does not fit the event's type; nothing was sent.
        """
        return current_runtime().sender.send_many(self.name, event, payload, reference_ids, id)

    async def asend_many(
        self: _Named, event: Event[T], payload: T, *, reference_ids: Sequence[str], id: str | None = None
    ) -> list[SendOutcome]:
        """Do what ``send_many`` does, for async code."""
        sender = current_runtime().sender
        return await in_thread(sender.send_many, self.name, event, payload, reference_ids, id)
