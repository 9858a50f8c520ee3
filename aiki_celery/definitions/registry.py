"""The one list of what is defined in this process."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

from aiki_celery.definitions.naming import version_key
from aiki_celery.errors import DefinitionInvalid

if TYPE_CHECKING:
    from aiki_celery.definitions.event import Event
    from aiki_celery.definitions.schedule import Schedule
    from aiki_celery.definitions.task import Task
    from aiki_celery.definitions.workflow import Workflow


#: Is told of each task and workflow.
Subscriber: TypeAlias = Callable[["Workflow[..., Any] | Task[..., Any]"], None]


class Registry:
    """Tasks and schedules by name, workflows by name and version. Whoever must know of every definition subscribes."""

    def __init__(self) -> None:
        self._tasks: dict[str, Task[..., Any]] = {}
        self._workflows: dict[tuple[str, str], Workflow[..., Any]] = {}
        self._events: dict[str, list[Event[Any]]] = {}
        self._schedules: dict[str, tuple[Schedule, str]] = {}
        self._subscribers: list[weakref.WeakMethod[Subscriber]] = []

    def add_task(self, task: Task[..., Any]) -> None:
        """Register a task.

        Raises:
            DefinitionInvalid: Another function has the name.
        """
        self._refuse_twin("task", task.name, self._tasks.get(task.name), task)
        self._tasks[task.name] = task
        self._tell(task)

    def add_workflow(self, workflow: Workflow[..., Any]) -> None:
        """Register a workflow and tell the subscribers.

        Raises:
            DefinitionInvalid: Another function has the name and version.
        """
        key = (workflow.name, workflow.version)
        self._refuse_twin("workflow", workflow.definition, self._workflows.get(key), workflow)
        self._workflows[key] = workflow
        self._tell(workflow)

    def add_event(self, event: Event[Any]) -> None:
        """Register an event. Several may have one name, of which each workflow means its own."""
        self._events.setdefault(event.name, []).append(event)

    def events(self, name: str) -> list[Event[Any]]:
        """Give the events of a name."""
        return list(self._events.get(name, ()))

    def event_names(self) -> list[str]:
        """Give the names of all events."""
        return sorted(self._events)

    def add_schedule(self, schedule: Schedule, place: str) -> None:
        """Register a schedule, declared at a place of the source.

        Raises:
            DefinitionInvalid: One of that name is declared elsewhere.
        """
        known = self._schedules.get(schedule.name)
        # The same again, say because the module is imported again, does no harm.
        if known is not None and (known[1], known[0].content) != (place, schedule.content):
            raise DefinitionInvalid(
                f"schedule {schedule.name!r} is declared twice: at {known[1]} and at {place}. Give one of them another "
                "name: schedule(..., name=...)."
            )
        self._schedules[schedule.name] = (schedule, place)

    def schedules(self) -> list[Schedule]:
        """Give every declared schedule."""
        return [schedule for schedule, _ in self._schedules.values()]

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

    def subscribe(self, subscriber: Subscriber) -> None:
        """Call ``subscriber`` with every task and workflow, those there are and those to come.

        It is a method of an object, and called for as long as there is that object.
        """
        for task in self.tasks():
            subscriber(task)
        for workflow in self:
            subscriber(workflow)
        self._subscribers.append(weakref.WeakMethod(subscriber, self._subscribers.remove))

    def _tell(self, definition: Workflow[..., Any] | Task[..., Any]) -> None:
        for reference in list(self._subscribers):
            subscriber = reference()
            if subscriber is not None:
                subscriber(definition)

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
