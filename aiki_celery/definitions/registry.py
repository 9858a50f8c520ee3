"""The one list of what is defined in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from aiki_celery.definitions.naming import version_key
from aiki_celery.errors import DefinitionInvalid

if TYPE_CHECKING:
    from aiki_celery.definitions.task import Task
    from aiki_celery.definitions.workflow import Workflow


class Registry:
    """Tasks by name, workflows by name and version. Whoever must know of every one subscribes."""

    def __init__(self) -> None:
        self._tasks: dict[str, Task[..., Any]] = {}
        self._workflows: dict[tuple[str, str], Workflow[..., Any]] = {}
        self._subscribers: list[Callable[[Workflow[..., Any] | Task[..., Any]], None]] = []

    def add_task(self, task: Task[..., Any]) -> None:
        """Register a task.

        Raises:
            DefinitionInvalid: Another function has the name.
        """
        self._refuse_twin("task", task.name, self._tasks.get(task.name), task)
        self._tasks[task.name] = task
        for subscriber in self._subscribers:
            subscriber(task)

    def add_workflow(self, workflow: Workflow[..., Any]) -> None:
        """Register a workflow and tell the subscribers.

        Raises:
            DefinitionInvalid: Another function has the name and version.
        """
        key = (workflow.name, workflow.version)
        self._refuse_twin("workflow", workflow.definition, self._workflows.get(key), workflow)
        self._workflows[key] = workflow
        for subscriber in self._subscribers:
            subscriber(workflow)

    def task(self, name: str) -> Task[..., Any] | None:
        """Give a task, or None where this process does not have it."""
        return self._tasks.get(name)

    def tasks(self) -> list[Task[..., Any]]:
        """Give every task."""
        return list(self._tasks.values())

    def workflow(self, name: str, version: str) -> Workflow[..., Any] | None:
        """Give a workflow, or None where this process does not have that version."""
        return self._workflows.get((name, version))

    def latest(self, name: str) -> Workflow[..., Any] | None:
        """Give the highest version of a workflow, or None where there is none."""
        versions = [workflow for (own, _), workflow in self._workflows.items() if own == name]
        return max(versions, key=lambda workflow: version_key(workflow.version), default=None)

    def subscribe(self, subscriber: Callable[[Workflow[..., Any] | Task[..., Any]], None]) -> None:
        """Call ``subscriber`` with every task and workflow, those there are and those to come."""
        for task in self.tasks():
            subscriber(task)
        for workflow in self:
            subscriber(workflow)
        self._subscribers.append(subscriber)

    def __iter__(self) -> Iterator[Workflow[..., Any]]:
        return iter(list(self._workflows.values()))

    @staticmethod
    def _refuse_twin(kind: str, name: str, known: Any, new: Any) -> None:
        """Refuse a second function under a name, but let a module be imported again (reload, ``python -m``)."""
        if known is None or _place(known.function) == _place(new.function):
            return
        raise DefinitionInvalid(
            f"{kind} {name!r} is defined twice: by {_where(known.function)} and by {_where(new.function)}. "
            f"Give one of them another name" + (" or version." if kind == "workflow" else ".")
        )


def _place(function: Callable[..., Any]) -> tuple[str | None, str]:
    code = getattr(function, "__code__", None)
    return (getattr(code, "co_filename", None), getattr(function, "__qualname__", repr(function)))


def _where(function: Callable[..., Any]) -> str:
    return f"{function.__module__}.{getattr(function, '__qualname__', function)}"


registry = Registry()
