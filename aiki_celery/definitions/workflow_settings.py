"""What ``@workflow`` was given."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from aiki_celery.definitions.retry import Retry
from aiki_celery.errors import DefinitionInvalid
from aiki_celery.model.clock import to_seconds


@dataclass(frozen=True, slots=True)
class WorkflowSettings:
    """What ``@workflow`` was given. ``deadline`` is in seconds, from when a run may start."""

    name: str
    version: str
    retry: Retry
    queue: str | None
    deadline: float | None = None


def check_deadline(workflow: str, deadline: timedelta | float | None) -> float | None:
    """Give a workflow's deadline in seconds.

    Raises:
        DefinitionInvalid: It is no time, or not above zero.
    """
    if deadline is None:
        return None
    try:
        seconds = to_seconds(deadline)
    except (TypeError, ValueError, AttributeError) as error:
        raise DefinitionInvalid(f"workflow {workflow!r}: deadline: {error}") from error
    if seconds <= 0:
        raise DefinitionInvalid(f"workflow {workflow!r}: deadline must be more than zero, not {deadline!r}")
    return seconds
