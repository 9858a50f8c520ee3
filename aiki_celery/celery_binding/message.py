"""What a message about a run looks like, and what of a request is kept for the next one.

A journal-first message carries ids only: no arguments reach the broker, Flower or the logs. It is known by its header.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kombu.utils import json

from aiki_celery.model.status import RunKind

#: Name of our header, and the version of what is in it.
HEADER = "aiki"
VERSION = 1

#: How a message is sent: once more on a new connection, where the pooled one was lost. Longer patience only keeps
#: callers: a worker sends the rest.
ONCE_MORE = {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0}

#: Options of a request that its continuation carries on. ``expires`` is about the start and ``retries`` is Celery's
#: own.
_KEPT = (
    *("root_id", "parent_id", "group_id", "group_index", "shadow", "chord", "chain", "link", "link_error"),
    *("soft_time_limit", "time_limit", "reply_to", "replaced_task_nesting", "origin"),
)


_ADOPTED = frozenset(kind.value for kind in RunKind if kind.is_celery_task)


def header(first: str) -> dict[str, Any]:
    """Give the header of a message: of a run that is in the journal first (``"journal"``) or not (``"message"``).

    A Celery task that a workflow has started is in the journal, and its arguments are in the message: one of this
    application (``"celery"``), or of another service (``"foreign"``).
    """
    return {HEADER: {"v": VERSION, "first": first}}


def is_journal_first(headers: Mapping[str, Any]) -> bool:
    """Tell whether a message's run is in the journal already, so that the message may be acknowledged early."""
    ours = headers.get(HEADER)
    return isinstance(ours, Mapping) and ours.get("first") == "journal" and ours.get("v") == VERSION


def is_adopted(headers: Mapping[str, Any]) -> bool:
    """Tell whether a message is about a Celery task that a workflow has started."""
    ours = headers.get(HEADER)
    return isinstance(ours, Mapping) and ours.get("first") in _ADOPTED and ours.get("v") == VERSION


def is_foreign(headers: Mapping[str, Any]) -> bool:
    """Tell whether a message is about a Celery task of another service."""
    return is_adopted(headers) and headers[HEADER]["first"] == RunKind.FOREIGN.value


def is_ours(headers: Mapping[str, Any]) -> bool:
    """Tell whether a message was made by this package."""
    return isinstance(headers.get(HEADER), Mapping)


def kind_of_task(task: Any) -> str | None:
    """Tell what a registered Celery task is to us: ``workflow``, ``task``, ``answer``, or None for the user's own."""
    return getattr(task, "aiki_kind", None)


def unknown_version(headers: Mapping[str, Any]) -> Any:
    """Give the version of a message of ours that this package does not know, or None."""
    ours = headers.get(HEADER)
    if not isinstance(ours, Mapping) or ours.get("v") == VERSION:
        return None
    return ours.get("v", "none")


def kept_options(request: Any) -> str | None:
    """Write as JSON what a continuation has to carry on of a request (Celery's ``Context``), or None for nothing."""
    options = request.as_execution_options()
    # The first of a group has the index 0.
    kept = {name: options[name] for name in _KEPT if options.get(name) or _is_index(name, options.get(name))}
    if kept.get("root_id") == request.id:
        del kept["root_id"]
    headers = {name: value for name, value in (options.get("headers") or {}).items() if name != HEADER}
    if headers:
        kept["headers"] = headers
    for name in options.get("stamped_headers") or ():
        kept[name] = options.get(name)
    if options.get("stamped_headers"):
        kept["stamped_headers"] = options["stamped_headers"]
    return str(json.dumps(kept)) if kept else None


def read_options(text: str | None) -> dict[str, Any]:
    """Read kept options back."""
    return dict(json.loads(text)) if text else {}


def has_callbacks(request: Any) -> bool:
    """Tell whether Celery publishes or counts something when this request (``Context``) ends."""
    return any((request.callbacks, request.errbacks, request.chain, request.chord, request.group))


def _is_index(name: str, value: Any) -> bool:
    return name == "group_index" and value is not None
