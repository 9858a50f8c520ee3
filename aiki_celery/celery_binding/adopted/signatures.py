"""Reads a Celery signature: what it calls, and how it is to be sent."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from celery import Celery
from celery.exceptions import QueueNotFound
from kombu.utils import json

from aiki_celery.celery_binding.message import kind_of_task
from aiki_celery.engine.ports import CeleryCall, CeleryOptions
from aiki_celery.errors import InputInvalid, NotJournalable
from aiki_celery.model.clock import to_datetime

#: Longest name of a task, in characters: the journal's column.
MAX_TASK_NAME = 100

#: What a signature has got as a part of a canvas; a step is none.
_OF_CANVAS = ("chord", "chain", "group_id")

#: The id is the step's own, and its start is said by ``delay``.
_REPLACED = frozenset({"task_id", "reply_to", "countdown", "eta", "group_index", "add_to_parent"})


class SignatureReader:
    """Reads signatures for one application.

    Args:
        app: The application.
    """

    def __init__(self, app: Celery) -> None:
        self._app = app

    def call_of(self, signature: Any) -> CeleryCall:
        """Give what a signature calls.

        Raises:
            InputInvalid: It is no signature of one task.
        """
        if not isinstance(signature, Mapping) or not isinstance(signature.get("task"), str):
            raise InputInvalid(
                "run.start",
                "signature",
                f"takes the signature of a Celery task, as in run.start(send_email.s(to)), not {signature!r:.60}",
            )
        name, kind = str(signature["task"]), signature.get("subtask_type")
        if kind is not None:
            raise InputInvalid(
                "run.start",
                "signature",
                f"takes one task, not a {kind}; make a canvas durable by durable(...)",
            )
        if len(name) > MAX_TASK_NAME:
            raise InputInvalid(name, "", f"the task's name has more than {MAX_TASK_NAME} characters")
        return CeleryCall(name, list(signature.get("args") or ()), dict(signature.get("kwargs") or {}))

    def options_of(self, signature: Any, call: CeleryCall, now: int) -> CeleryOptions:
        """Give how it is to be sent; ``now`` is an instant in microseconds.

        Raises:
            InputInvalid: The arguments do not fit the task, or an option cannot be used here.
            NotJournalable: An option has no JSON form.
        """
        task = self._app.tasks.get(call.name)
        _check_task(call, task)
        given = {name: value for name, value in (signature.get("options") or {}).items() if value is not None}
        for name in _OF_CANVAS:
            if given.get(name):
                raise InputInvalid(
                    call.name, name, "the signature is part of a canvas; make that durable(...)"
                )
        delay = self._delay(call.name, given, now)
        options = {name: value for name, value in given.items() if name not in _REPLACED}
        options = {name: _portable(call.name, name, value, now) for name, value in options.items()}
        return CeleryOptions(
            self._queue(call, options, task),
            _write(call.name, options) if options else None,
            delay if delay and delay > 0 else None,
            task is None,
        )

    def _queue(self, call: CeleryCall, options: Mapping[str, Any], task: Any) -> str | None:
        """Give the queue that Celery routes the message to, where it is one; see ``celery.app.base.send_task``."""
        known = {} if task is None else task._get_exec_options()
        merged = {name: value for name, value in known.items() if value is not None} | dict(options)
        try:
            routed = self._app.amqp.router.route(merged, call.name, list(call.args), dict(call.kwargs), task)
        except QueueNotFound as error:
            raise InputInvalid(call.name, "queue", str(error)) from error
        queue = routed.get("queue")
        found = getattr(queue, "name", queue)
        return None if found is None else str(found)

    def _delay(self, task: str, options: Mapping[str, Any], now: int) -> float | None:
        """Give the seconds to wait: in the journal, not in a worker's memory."""
        eta = options.get("eta")
        name, value = ("countdown", options.get("countdown")) if eta is None else ("eta", eta)
        try:
            if eta is None:
                return None if value is None else float(value)
            instant = datetime.fromisoformat(eta) if isinstance(eta, str) else eta
            aware = instant if instant.tzinfo else instant.replace(tzinfo=self._app.timezone)
            return float((aware - to_datetime(now)).total_seconds())
        except (TypeError, ValueError, AttributeError) as error:
            raise InputInvalid(task, name, str(error)) from error


def _check_task(call: CeleryCall, task: Any) -> None:
    """Refuse our own tasks, and arguments that Celery would refuse when it sends them."""
    kind = kind_of_task(task)
    if kind is not None:
        raise InputInvalid(
            call.name,
            "",
            f"is a {kind} of aiki_celery: start the {kind} itself, with its own .start(run, ...)",
        )
    check = getattr(task, "__header__", None)
    if check is not None and task.typing:
        try:
            check(*call.args, **call.kwargs)
        except TypeError as error:
            raise InputInvalid(call.name, "", str(error)) from error


def _portable(task: str, name: str, value: Any, now: int) -> Any:
    """Give an option as it is kept: a queue by its name, an expiry as an instant, callbacks as a list."""
    if name == "queue":
        return getattr(value, "name", value)
    if name == "expires" and isinstance(value, (int, float)):
        return (to_datetime(now) + timedelta(seconds=value)).isoformat()
    if name == "expires" and isinstance(value, datetime):
        return value.isoformat()
    if name in ("link", "link_error") and not isinstance(value, (list, tuple)):
        return [value]
    return value


def _write(task: str, options: Mapping[str, Any]) -> str:
    for name, value in options.items():
        try:
            json.dumps(value)
        except Exception as error:
            raise NotJournalable(task, f"options[{name!r}]", f"has no JSON form: {error}") from error
    return str(json.dumps(dict(options)))
