"""Compiles workflows into Celery tasks: one for each version, and one for the bare name, the highest version."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celery import Celery

from aiki_celery.celery_binding.binding import Binding
from aiki_celery.celery_binding.tasks import WorkflowTask
from aiki_celery.definitions.registry import registry
from aiki_celery.definitions.workflow import Workflow
from aiki_celery.errors import DefinitionInvalid


def compile_all(app: Celery, binding_of: Callable[[], Binding], refused: list[Exception]) -> None:
    """Compile every workflow there is and will be, once the application is finalized.

    Args:
        app: The application.
        binding_of: Gives its binding; called when it is first needed.
        refused: Takes the reason why that cannot be done: Celery's signal would only log it, and the application go on
            without workflows. One that was refused gets no more.
    """

    def compile_one(workflow: Workflow[..., Any]) -> None:
        if app.finalized and not refused:
            compile_workflow(app, workflow, binding_of())

    def compile_known(**_: Any) -> None:
        try:
            for workflow in registry:
                compile_workflow(app, workflow, binding_of())
        except Exception as error:
            refused.append(error)
            raise

    app.on_after_finalize.connect(compile_known, weak=False)
    registry.subscribe(compile_one)


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
