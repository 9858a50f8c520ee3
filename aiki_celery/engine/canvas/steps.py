"""The steps of a canvas: Celery tasks as they are, workflows as children, and error callbacks of a chord's body."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic_core import to_json

from aiki_celery.definitions.future import StepFuture
from aiki_celery.definitions.options import MAX_NAME, StartOptions
from aiki_celery.definitions.registry import registry
from aiki_celery.definitions.workflow import Workflow
from aiki_celery.engine.adopting import adopt
from aiki_celery.engine.children import launch_child
from aiki_celery.engine.context import WorkflowRun
from aiki_celery.engine.current_pass import Pass
from aiki_celery.errors import TaskFailed

#: The Celery task that calls the error callbacks of a chord's body whose header has failed.
TELL_ERRBACKS = "aiki.canvas.tell_errbacks"

#: Options of a signature that the messages of a workflow's run carry on.
_CARRIED = ("link", "link_error", "headers", "stamped_headers", "shadow")


class CanvasSteps:
    """Starts what a canvas is made of.

    Args:
        current: The pass.
        run: The run.
    """

    def __init__(self, current: Pass, run: WorkflowRun) -> None:
        self._pass = current
        self._run = run

    def start(
        self, signature: Mapping[str, Any], place: str, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> StepFuture[Any]:
        """Start a task at a place of the canvas, or give what is recorded there.

        Args:
            signature: A signature, as plain JSON.
            place: The place.
            args: What it gets before its own arguments, unless it is immutable.
            kwargs: What it gets besides its own arguments, unless it is immutable.
        """
        if not signature["immutable"]:
            signature = {
                **signature,
                "args": [*args, *signature["args"]],
                "kwargs": {**signature["kwargs"], **kwargs},
            }
        workflow = _workflow(signature["task"])
        if workflow is not None:
            return self._start_workflow(workflow, signature, place)
        return adopt(self._pass, self._run, signature, _key(place))

    def tell_errbacks(self, body: Mapping[str, Any], error: Exception, place: str) -> StepFuture[Any]:
        """Have the error callbacks of a chord's body called, whose header has failed."""
        task = error.task if isinstance(error, TaskFailed) else ""
        kind = error.type if isinstance(error, TaskFailed) else type(error).__qualname__
        message = error.message if isinstance(error, TaskFailed) else str(error)
        claim = self._pass.claim
        signature = {
            "task": TELL_ERRBACKS,
            "args": [body, task, kind, message],
            "kwargs": {},
            "options": {"queue": claim.queue} if claim.queue else {},
            "immutable": True,
        }
        return self.start(signature, place, (), {})

    def _start_workflow(
        self, workflow: Workflow[..., Any], signature: Mapping[str, Any], place: str
    ) -> StepFuture[Any]:
        given = signature["options"]
        eta = given.get("eta")
        options = StartOptions().updated(
            workflow.name,
            key=_key(place),
            queue=given.get("queue"),
            priority=given.get("priority"),
            delay=None if eta else given.get("countdown"),
            eta=datetime.fromisoformat(eta) if eta else None,
        )
        stamps = given.get("stamped_headers") or ()
        carried = {name: given[name] for name in (*_CARRIED, *stamps) if given.get(name)}
        request = to_json(carried).decode() if carried else None
        args, kwargs = signature["args"], signature["kwargs"]
        return launch_child(self._pass, self._run, workflow, options, args, kwargs, request)


def _workflow(name: str) -> Workflow[..., Any] | None:
    """Give the workflow that a Celery task was compiled from, if it is one's."""
    bare, _, version = name.partition("@")
    return registry.workflow(bare, version) if version else registry.latest(bare)


def _key(place: str) -> str:
    """Give the key of a place. The root has none of its own."""
    place = place or "."
    return place if len(place) <= MAX_NAME else hashlib.blake2b(place.encode(), digest_size=20).hexdigest()
