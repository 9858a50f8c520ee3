"""The Celery task a workflow is compiled into."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from celery import Task
from celery.app.task import get_actual_ignore_result
from celery.backends.base import DisabledBackend
from pydantic_core import from_json, to_jsonable_python

from aiki_celery.celery_binding.binding import Binding
from aiki_celery.celery_binding.delivery import Delivery, result_of
from aiki_celery.celery_binding.inline import run_new
from aiki_celery.celery_binding.message import header, is_ours
from aiki_celery.definitions.registry import registry
from aiki_celery.definitions.workflow import Workflow
from aiki_celery.errors import WorkflowCancelled
from aiki_celery.model.ids import new_run_id


class WorkflowTask(Task):
    """A real Celery task: routed, sent, linked, revoked and watched like any other.

    The message of a run that is in the journal already is acknowledged as soon as a process has it: the journal brings
    the run back if that process dies, and no broker's timeout can come between. Any other message is acknowledged late.
    """

    abstract = True
    acks_late = True
    reject_on_worker_lost = True
    acks_on_failure_or_timeout = True
    typing = False
    serializer = "json"
    Request = "aiki_celery.celery_binding.request:WorkflowRequest"
    #: What Celery is told of a cancelled run: wanted, so no error in anybody's log.
    throws = (WorkflowCancelled,)
    aiki_kind = "workflow"

    #: The application and its journal; set by the compiler.
    binding: Binding
    #: Name and, but for the task of the bare name, version of the workflow; set by the compiler.
    workflow_name: str
    workflow_version: str | None

    @property
    def workflow(self) -> Workflow[..., Any]:
        """The definition: of this version, or the highest one there is."""
        if self.workflow_version is None:
            found = registry.latest(self.workflow_name)
        else:
            found = registry.workflow(self.workflow_name, self.workflow_version)
        assert found is not None, f"{self.name} was compiled from a definition"
        return found

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What Celery's tracer calls."""
        request = self.request
        if request.called_directly:
            return self.apply(args, kwargs, throw=True).get()
        if request.is_eager:
            return self._run_here(request, args, kwargs)
        return Delivery(self.binding, self, request).handle(args, kwargs)

    def run(self, *args: Any, **kwargs: Any) -> Any:
        """What Celery calls where it does not know of ``__call__``."""
        return self(*args, **kwargs)

    def apply_async(
        self, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> Any:
        """Check the arguments and send them in a message, as Celery's own does.

        Raises:
            InputInvalid: The arguments do not fit; nothing was sent.
        """
        positional, keywords = self.workflow.signature.to_message(tuple(args or ()), kwargs or {})
        headers = {**(options.pop("headers", None) or {}), **header("message")}
        options.setdefault("task_id", None)
        options["task_id"] = options["task_id"] or new_run_id()
        return super().apply_async(positional, keywords, headers=headers, **options)

    def apply(
        self, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> Any:
        """Run in this process, journaled, without a broker. Gives Celery's ``EagerResult``.

        Raises:
            InputInvalid: The arguments do not fit; nothing was written.
        """
        positional, keywords = list(args or ()), dict(kwargs or {})
        if not is_ours(options.get("headers") or {}):
            positional, keywords = self.workflow.signature.to_message(positional, keywords)
        options["task_id"] = options.get("task_id") or new_run_id()
        return super().apply(positional, keywords, **options)

    def signature(self, args: Sequence[Any] | None = None, *rest: Any, **options: Any) -> Any:
        """Make a signature whose arguments can travel: models and dataclasses in them become plain JSON."""
        plain = None if args is None else tuple(_jsonable(list(args)))
        if options.get("kwargs"):
            options["kwargs"] = _jsonable(dict(options["kwargs"]))
        return super().signature(
            plain, *[_jsonable(rest[0]), *rest[1:]] if rest and rest[0] else rest, **options
        )

    subtask = signature

    def s(self, *args: Any, **kwargs: Any) -> Any:
        """Make a signature from these arguments."""
        return self.signature(args, kwargs)

    def si(self, *args: Any, **kwargs: Any) -> Any:
        """Make an immutable signature from these arguments."""
        return self.signature(args, kwargs, immutable=True)

    def stores_result(self, request: Any) -> bool:
        """Tell whether Celery stores what this request gives."""
        return not isinstance(self.backend, DisabledBackend) and not get_actual_ignore_result(self, request)

    def _run_here(self, request: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        workflow = self.workflow
        outcome = run_new(self.binding, workflow, args, kwargs, request.id)
        if outcome.exception is not None:
            raise outcome.exception
        # Sent by delay() under task_always_eager, the result is what a worker would give; else it is the typed one.
        is_sent = is_ours(request.headers or {}) or is_ours(vars(request))
        return from_json(outcome.output or "null") if is_sent else result_of(workflow, outcome)


def _jsonable(value: Any) -> Any:
    return to_jsonable_python(
        value, inf_nan_mode="constants", bytes_mode="base64", fallback=lambda other: other
    )
