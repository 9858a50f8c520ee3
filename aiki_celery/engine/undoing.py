"""What the sagas of one pass know together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiki_celery.definitions.future import StepFuture
from aiki_celery.engine.put_aside import Undone
from aiki_celery.journal.control.cancels import Control


@dataclass(eq=False, slots=True)
class Compensation:
    """What undoes a step.

    Attributes:
        name: Name of its task or workflow.
        run: Runs it.
        is_begun: Whether that was done: the saga of an outer block may know it too.
    """

    name: str
    run: Callable[[], Any]
    is_begun: bool = False


@dataclass
class Undoing:
    """What the sagas of one pass know together.

    Attributes:
        control: Cancels children.
        done: The sagas that were compensated, in that order.
        open: The sagas whose blocks the code is in, the innermost last.
        futures: What the code has started, in that order, once a saga wants to know.
        is_under_way: Whether something is being undone, for which there is always room.
    """

    control: Control
    done: list[Undone] = field(default_factory=list)
    open: list[Any] = field(default_factory=list)
    futures: list[StepFuture[Any]] | None = None
    is_under_way: bool = False
