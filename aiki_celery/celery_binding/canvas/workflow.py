"""The built-in workflow that plays a canvas."""

from __future__ import annotations

from typing import Any

from aiki_celery.definitions.workflow import workflow
from aiki_celery.engine.canvas.canvas import play
from aiki_celery.engine.context import WorkflowRun

#: Name of the workflow, as ``run list`` shows it.
CANVAS = "aiki.canvas"


@workflow(name=CANVAS, version="1")
def canvas(
    run: WorkflowRun,
    plan: dict[str, Any],
    args: list[Any] | None = None,
    kwargs: dict[str, Any] | None = None,
) -> Any:
    """Play a canvas; what ``durable(...)`` starts.

    Args:
        run: The run.
        plan: What is to be done.
        args: What its first tasks get before their own arguments.
        kwargs: What its first tasks get besides their own arguments.
    """
    return play(run, plan, args or [], kwargs or {})
