"""How the end of a Celery task comes back by messages: Celery's own ``link`` and ``link_error``, to a task of ours.

A worker that has this package writes the journal itself, and sends none of these.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

#: Name of the Celery task that the answers are sent to.
ANSWER = "aiki.settle"

_answered_here: ContextVar[str | None] = ContextVar("aiki_answered_here", default=None)


def answer(run_id: str, call: Mapping[str, Any], *, failed: bool) -> dict[str, Any]:
    """Give the signature of an answer, as plain data. Celery puts the result, or the failed task's id, before it.

    Args:
        run_id: The run that the task was started as.
        call: What is known of the call: its secret, and the queue that answers go to.
        failed: Whether it is the answer of a failure.
    """
    options = {"queue": call["answer_to"]} if call.get("answer_to") else {}
    return {
        "task": ANSWER,
        "args": [],
        "kwargs": {"run": run_id, "secret": call.get("secret", ""), "failed": failed},
        "options": options,
        "subtask_type": None,
        "immutable": False,
    }


@contextmanager
def answering_here(run_id: str) -> Iterator[None]:
    """Send no answers about a run from the code inside: its end is written to the journal from here."""
    token = _answered_here.set(run_id)
    try:
        yield
    finally:
        _answered_here.reset(token)


def is_answered_here(run_id: Any) -> bool:
    """Tell whether the end of a run is written to the journal by the code that this is called from."""
    return run_id is not None and _answered_here.get() == run_id
