"""What Celery's own calls of a workflow, ``delay`` and the rest, cannot carry."""

from __future__ import annotations

from aiki_celery.definitions.options import StartOptions, refuse_session
from aiki_celery.errors import InputInvalid

_ENQUEUES_OWN = {
    "reference_id": "reference_id",
    "delay": "delay",
    "due_at": "eta",
    "queue": "queue",
    "priority": "priority",
    "tags": "tags",
    "deadline": "deadline",
    "deadline_at": "deadline",
}


def refuse_for_celery(owner: str, options: StartOptions) -> None:
    """Refuse options where they would be passed over without a word.

    Raises:
        InputInvalid: One is set.
    """
    refuse_session(owner, options, "a message of Celery's own does not wait for a commit; use enqueue")
    for name, shown in _ENQUEUES_OWN.items():
        if getattr(options, name) not in (None, ()):
            raise InputInvalid(
                owner,
                shown,
                "set with options(...), it is for enqueue and start. Celery's delay, apply, apply_async, s and si take "
                "Celery's own options, as in apply_async((order,), countdown=60, queue='orders'); they know no "
                "reference id, but the same task_id is the same run",
            )
