"""What planning is made of: options handed down, callbacks of a chord's body, the members of a group."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any

from celery.canvas import _chain, _chord, group
from celery.utils.functional import maybe_list

#: Options of a chain that are about the chain, not about its first link; see ``_CHAIN_RUN_OPTIONS``.
CHAIN_OPTIONS = frozenset({"link", "link_error"})

#: Options that say which message of a canvas a signature is. A step gets its own.
_PLACE = frozenset(
    {
        *("task_id", "root_id", "parent_id", "group_id", "group_index", "chord", "chain", "reply_to"),
        *("producer", "publisher", "connection", "add_to_parent", "use_link", "replaced_task_nesting"),
    }
)

Read = Callable[[Any], Any]


def handed_down(options: Mapping[str, Any], without: Collection[str] = ()) -> dict[str, Any]:
    """Give the options of a canvas that its tasks get."""
    return {name: value for name, value in options.items() if name not in _PLACE and name not in without}


def leaf_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Give the options of a task as plain data: instants as text."""
    chosen = handed_down(options)
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in chosen.items()
        if value is not None
    }


def is_empty_group(sig: Any) -> bool:
    """Tell whether it is a group without members, which a chain skips."""
    return isinstance(sig, group) and not sig.tasks


def has_errbacks(sig: Any) -> bool:
    """Tell whether there are error callbacks anywhere in a signature."""
    if isinstance(sig, Mapping):
        return bool(sig.get("link_error")) or any(has_errbacks(value) for value in sig.values())
    return isinstance(sig, (list, tuple)) and any(has_errbacks(value) for value in sig)


def only_member(sig: Any, read: Read) -> Any:
    """Give the one member of a group of one, which a chain takes for the group; else what was given."""
    while isinstance(sig, group) and len(sig.tasks) == 1:
        sig = read(sig.tasks[0])
    return sig


def is_led_by_task(body: Any) -> bool:
    """Tell whether a chord's body is a chain that does not begin with a group; see ``_is_chain_led_by_task``."""
    return isinstance(body, _chain) and bool(body.tasks) and not isinstance(body.tasks[0], group)


def members_of(tasks: Any, read: Read, *, is_frozen: bool) -> list[Any]:
    """Give the members of a group, those of groups in it among them, and no empty chains.

    Celery flattens a group that it has to freeze first - a chord's header, the end of a chain - by another way than one
    that is sent as it is: the members of an inner group come in reverse. See ``group._freeze_unroll``.
    """
    members: list[Any] = []
    pending = [read(task) for task in tasks][::-1]
    while pending:
        task = pending.pop()
        if isinstance(task, group):
            inner = [read(member) for member in task.tasks]
            pending.extend(inner if is_frozen else inner[::-1])
        elif not (isinstance(task, _chain) and not task.tasks):
            members.append(task)
    return members


def add_body_callbacks(body: Any, options: dict[str, Any], read: Read) -> Any:
    """Move the callbacks of a chord to its body, as ``_chord._add_body_callbacks`` does."""
    for callback in maybe_list(options.pop("link", None)) or []:
        if is_empty_group(body):
            body.append_to_list_option("link", read(callback))
        else:
            body.link(read(callback))
    for errback in maybe_list(options.pop("link_error", None)) or []:
        if isinstance(body, group):
            _link_errback(body, read(errback), is_run_as_group=True)
        else:
            body.append_to_list_option("link_error", read(errback))
    return body


def _link_errback(sig: Any, errback: Any, *, is_run_as_group: bool) -> None:
    """Link an error callback to each task of a group that is a chord's body; see ``_link_error_to_body_tasks``."""
    if isinstance(sig, group):
        if is_run_as_group and sig.options.get("link_error") is not None:
            sig.append_to_list_option("link_error", errback.clone())
            return
        for task in sig.tasks:
            _link_errback(task, errback, is_run_as_group=False)
    elif isinstance(sig, _chord):
        _link_errback(sig.body, errback, is_run_as_group=True)
    else:
        sig.link_error(errback.clone())
