"""Sending an event whose name and payload were typed in."""

from __future__ import annotations

import difflib
import json
from typing import Any

from aiki_celery.definitions.registry import registry
from aiki_celery.engine.events.sending import check_id
from aiki_celery.errors import InputInvalid
from aiki_celery.extension import Aiki


def send_json(extension: Aiki, run_id: str, name: str, payload: str, event_id: str | None) -> bool:
    """Send an event that this application defines; tell whether it counts.

    Raises:
        InputInvalid: There is no event of that name, or the payload is no JSON, or does not fit any event of that name.
        RunNotFound: The journal does not know the run.
        RunFinished: The run is over.
    """
    try:
        return _send(extension, run_id, name, _read(name, payload), event_id)
    except RecursionError:
        raise InputInvalid(name, "payload", "is nested too deeply") from None


def _read(name: str, payload: str) -> Any:
    try:
        return json.loads(payload)
    except ValueError as error:
        raise InputInvalid(name, "payload", f"is no JSON: {error}; a text is written in quotes") from error


def _send(extension: Aiki, run_id: str, name: str, plain: Any, event_id: str | None) -> bool:
    events = registry.events(name)
    if not events:
        near = difflib.get_close_matches(name, registry.event_names(), n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise InputInvalid(name, "event", f"this application defines no event of that name.{hint}")
    refused: InputInvalid | None = None
    sender, workflow = extension.sender, extension.view(run_id).workflow
    for event in events:
        try:
            text = sender.text_of(event, event.write_plain(plain))
        except InputInvalid as error:
            refused = error
        else:
            return sender.send_text(run_id, workflow, name, text, check_id(event, event_id))
    assert refused is not None
    raise refused
