"""Callbacks: tokens by which somebody outside, who knows nothing of runs, sends one event to one run.

A token is two parts of URL-safe base64: what it is for, as JSON, and an HMAC-SHA256 of that under ``aiki_secret_key``.
Nothing is looked up to check it. The run records when it gave one out, so a replay gives out the same.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import Any

from aiki_celery.definitions.event import Event
from aiki_celery.engine.current_pass import Pass
from aiki_celery.engine.fact_records import new_fact
from aiki_celery.errors import ConfigurationError, InputInvalid, TokenExpired, TokenInvalid
from aiki_celery.model.clock import MICROSECOND, to_datetime
from aiki_celery.model.status import StepKind
from aiki_celery.settings import AikiSettings

#: What is signed begins so: a signature of something else under the same key is none of a token.
_CONTEXT = b"aiki-callback-1."

#: How the ids of events begin that were sent by a token.
CALLBACK = "callback:"


@dataclass(frozen=True, slots=True)
class Callback:
    """What a token is for.

    Attributes:
        run_id: The run.
        workflow: Name of its workflow.
        event: Name of the event.
        place: Place of the callback in the run's record, which makes it the only one.
        expires_at: When its time is over, in microseconds.
    """

    run_id: str
    workflow: str
    event: str
    place: int
    expires_at: int

    @property
    def event_id(self) -> str:
        """The id under which its event counts once."""
        return f"{CALLBACK}{self.place}:{self.expires_at}"

    def check_time(self, now: int) -> None:
        """Make sure that its time is not over.

        Raises:
            TokenExpired: It is.
        """
        if now > self.expires_at:
            moment = to_datetime(self.expires_at).isoformat(timespec="seconds")
            raise TokenExpired(f"{self.event}: the token could be exchanged until {moment}.")


def make_callback(current: Pass, event: Event[Any], seconds: float) -> str:
    """Give the token that a run has recorded, or record a new one.

    Raises:
        ConfigurationError: There is no ``aiki_secret_key``.
        InputInvalid: It would have expired before it is made.
    """
    key = _key(current.settings)
    claim, address = current.claim, f"callback:{event.name}"
    recorded = current.record.take_fact(address)
    if recorded is None:
        current.cancel_here()
        if seconds <= 0:
            raise InputInvalid(event.name, "expires_in", f"must be more than zero, not {seconds:g} s")
        now = current.clock.now()
        due_at = now + int(seconds * MICROSECOND)
        recorded = new_fact(current, StepKind.CALLBACK, event.name, address, now=now, due_at=due_at)
        current.write(recorded)
    # In a fork, a token that was given out by the run it was made from is that one's.
    facts = [current.maker_of(recorded.seq)[0], claim.workflow, event.name, recorded.seq, recorded.due_at]
    body = _encoded(json.dumps(facts, separators=(",", ":")).encode())
    return f"{body}.{_encoded(_signature(key, body))}"


def read_token(settings: AikiSettings, event: str, token: str) -> Callback:
    """Give what a token is for, if we have made it, and for this event.

    Raises:
        TokenInvalid: It is none of ours, or for another event.
        ConfigurationError: There is no ``aiki_secret_key``.
    """
    key = _key(settings)
    body, _, signature = token.partition(".") if isinstance(token, str) else ("", "", "")
    try:
        is_ours = hmac.compare_digest(signature.encode(), _encoded(_signature(key, body)).encode())
        facts = json.loads(_decoded(body)) if is_ours else None
    except (binascii.Error, ValueError):
        facts = None
    if facts is None:
        raise TokenInvalid(f"{event}: the token was not made with this aiki_secret_key, or was changed.")
    callback = Callback(*facts)
    if callback.event != event:
        raise TokenInvalid(f"{event}: the token is for event {callback.event!r}.")
    return callback


def expiry_of(event_id: str | None) -> int | None:
    """Give when the token expires by which an event was sent, in microseconds; None if it was sent by none."""
    if event_id is None or not event_id.startswith(CALLBACK):
        return None
    return int(event_id.rpartition(":")[2])


def _key(settings: AikiSettings) -> bytes:
    if settings.secret_key is None:
        raise ConfigurationError(
            "Callbacks need the setting aiki_secret_key: a text of 16 characters or more that nobody can guess, the "
            "same for every worker and wherever event.exchange(...) is called; as an environment variable, "
            "AIKI_SECRET_KEY."
        )
    return settings.secret_key.get_secret_value().encode()


def _signature(key: bytes, body: str) -> bytes:
    return hmac.new(key, _CONTEXT + body.encode(), hashlib.sha256).digest()


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
