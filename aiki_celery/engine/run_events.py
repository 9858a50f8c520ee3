"""What the workflow's code may wait for from outside: events."""

from __future__ import annotations

from datetime import timedelta
from typing import TypeVar

from aiki_celery.definitions.event import Event
from aiki_celery.definitions.future import EventFuture
from aiki_celery.engine.events.callbacks import make_callback
from aiki_celery.engine.events.expecting import expect
from aiki_celery.engine.joining import gather
from aiki_celery.engine.run_facts import RunFacts
from aiki_celery.errors import RunCancelled
from aiki_celery.model.clock import to_seconds

T = TypeVar("T")


class RunEvents(RunFacts):
    """Waits for events."""

    def wait_for(self, event: Event[T], timeout: timedelta | float | None = None) -> T:
        """Wait for an event and give what was sent with it. Frees the worker; survives restarts.

        Events of one name are had in the order in which they were sent, each by one wait; one that came before the run
        waits is kept for it.

        Args:
            event: The event.
            timeout: A ``timedelta`` or seconds, counted from when the run first waits; None waits for ever.

        Raises:
            EventTimeout: None was sent within the timeout: the same on every replay.
            InputInvalid: It is no event, the timeout is negative or not a number, or what was sent no longer fits.
        """
        future = self.expect(event, timeout)
        try:
            payload: T = gather(self._pass, [future], return_exceptions=False)[0]
        except RunCancelled:
            self._pass.expectations.withdraw(future.record)
            raise
        return payload

    def expect(self, event: Event[T], timeout: timedelta | float | None = None) -> EventFuture[T]:
        """Give the future of an event, without waiting for it; ``gather`` and ``first`` take it beside steps.

        Args:
            event: The event.
            timeout: A ``timedelta`` or seconds, counted from this call; None waits for ever.

        Raises:
            InputInvalid: It is no event, or the timeout is negative or not a number.
        """
        self._pass.check()
        seconds = None if timeout is None else self._converted("timeout", to_seconds, timeout)
        return expect(self._pass, self, event, seconds)

    def callback(self, event: Event[T], *, expires_in: timedelta | float) -> str:
        """Give a token by which somebody outside can send this event to this run, once: the same on every replay.

        It is safe in a URL. The view that is called exchanges it: ``event.exchange(token, payload)``. Costs one write.

        Args:
            event: The event.
            expires_in: How long it can be exchanged, a ``timedelta`` or seconds.

        Raises:
            ConfigurationError: The setting ``aiki_secret_key`` is missing.
            InputInvalid: The time is not above zero.
        """
        self._pass.check()
        return make_callback(self._pass, event, self._converted("expires_in", to_seconds, expires_in))
