"""Compiles definitions into Celery tasks.

A workflow becomes one for each version, and one for the bare name, the highest version. A task becomes one as well, for
the steps that workflows start.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celery import Celery

from aiki_celery.celery_binding.adopted.settle_task import SettleTask
from aiki_celery.celery_binding.binding import Binding
from aiki_celery.celery_binding.canvas.errbacks import TellErrbacks
from aiki_celery.celery_binding.step_task import StepTask
from aiki_celery.celery_binding.tasks import WorkflowTask
from aiki_celery.definitions.registry import registry
from aiki_celery.definitions.task import Task
from aiki_celery.definitions.workflow import Workflow
from aiki_celery.errors import DefinitionInvalid


class Compiler:
    """Compiles every definition there is and will be, once the application is finalized.

    The registry, which lasts as long as the process, refers to it weakly: whoever keeps the application keeps this.

    Args:
        app: The application.
        binding_of: Gives its binding; called when it is first needed.
    """

    def __init__(self, app: Celery, binding_of: Callable[[], Binding]) -> None:
        self._app = app
        self._binding_of = binding_of
        #: Why it cannot be done: Celery's signal would only log it, and the application go on without workflows.
        self._refused: Exception | None = None
        app.on_after_finalize.connect(self._compile_known, weak=False)
        registry.subscribe(self._compile_new)

    def check(self) -> None:
        """Make sure that nothing was refused.

        Raises:
            DefinitionInvalid: The application has a task with the name of a workflow.
            SettingInvalid: A setting is unknown or has a bad value.
        """
        if self._refused is not None:
            raise self._refused

    def _compile_new(self, definition: Workflow[..., Any] | Task[..., Any]) -> None:
        if self._app.finalized and self._refused is None:
            self._compile(definition)

    def _compile_known(self, **_: Any) -> None:
        binding_of = self._binding_of
        try:
            self._app.register_task(
                type("SettleTask", (SettleTask,), {"binding_of": staticmethod(binding_of)})()
            )
            # Classes of its own: Celery binds a task's class to the application.
            self._app.register_task(type("TellErrbacks", (TellErrbacks,), {})())
            for definition in (*registry, *registry.tasks()):
                self._compile(definition)
        except Exception as error:
            self._refused = error
            raise

    def _compile(self, definition: Workflow[..., Any] | Task[..., Any]) -> None:
        if isinstance(definition, Workflow):
            compile_workflow(self._app, definition, self._binding_of())
        else:
            compile_task(self._app, definition, self._binding_of())


def compile_workflow(app: Celery, workflow: Workflow[..., Any], binding: Binding) -> None:
    """Register a workflow's tasks with the application.

    Raises:
        DefinitionInvalid: The application has another task of that name.
    """
    for name, version in ((workflow.definition, workflow.version), (workflow.name, None)):
        known = app.tasks.get(name)
        if known is not None and not isinstance(known, WorkflowTask):
            raise DefinitionInvalid(
                f"workflow {workflow.name!r}: the Celery application has a task named {name!r} already. "
                "Give one of them another name."
            )
        if known is not None:
            continue  # the bare name of another version, or the same module imported again: it asks the registry
        attributes: dict[str, Any] = {
            "name": name,
            "binding": binding,
            "workflow_name": workflow.name,
            "workflow_version": version,
            "abstract": False,
            "__module__": workflow.function.__module__,
            "__doc__": workflow.function.__doc__,
        }
        task = type("WorkflowTask", (WorkflowTask,), attributes)()
        app.register_task(task)


def compile_task(app: Celery, task: Task[..., Any], binding: Binding) -> None:
    """Register the Celery task that a task's started steps are sent as.

    Where the application, or a workflow, has that name already, it keeps it, and the task can be run but not started.
    """
    if task.name in app.tasks:
        return
    attributes: dict[str, Any] = {
        "name": task.name,
        "binding": binding,
        "task_name": task.name,
        "abstract": False,
        "__module__": task.function.__module__,
        "__doc__": task.function.__doc__,
    }
    app.register_task(type("StepTask", (StepTask,), attributes)())
