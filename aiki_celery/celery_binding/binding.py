"""What the parts of the binding share: one application, its journal, and the engine over it."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from celery import Celery

from aiki_celery.celery_binding.adopted.sending import AdoptedSender
from aiki_celery.celery_binding.adopted.settling import settle
from aiki_celery.celery_binding.adopted.signatures import SignatureReader
from aiki_celery.celery_binding.caretaker_notes import CaretakerNotes
from aiki_celery.celery_binding.dispatcher import CeleryDispatcher
from aiki_celery.celery_binding.message import kind_of_task
from aiki_celery.celery_binding.process import ProcessIdentity
from aiki_celery.celery_binding.step_task import StepTask
from aiki_celery.definitions.registry import registry
from aiki_celery.definitions.task import Task
from aiki_celery.definitions.workflow import Workflow
from aiki_celery.engine.controlling import Controller
from aiki_celery.engine.events.sending import Sender
from aiki_celery.engine.execute import Executor
from aiki_celery.engine.failures import in_a_line, write_failure
from aiki_celery.engine.joined import Joined
from aiki_celery.engine.lifecycle import Lifecycle
from aiki_celery.engine.starting import Starter
from aiki_celery.engine.sweeps.context import SweepContext
from aiki_celery.engine.sweeps.declarations import declared_plans
from aiki_celery.errors import DefinitionInvalid
from aiki_celery.journal.journal import Journal
from aiki_celery.model.adopted_call import AdoptedCall
from aiki_celery.model.clock import Clock
from aiki_celery.model.records import Envelope
from aiki_celery.model.schedules import NewSchedule
from aiki_celery.model.status import RunStatus
from aiki_celery.settings import AikiSettings


class Binding:
    """One Celery application with its journal.

    Args:
        app: The application.
        settings: The settings.
        hooks: Who is told of lifecycle events.
        journal: Where runs are recorded.
        clock: For tests: the clock of every pass, instead of the database's.
    """

    def __init__(
        self,
        app: Celery,
        settings: AikiSettings,
        hooks: Lifecycle,
        journal: Journal,
        clock: Clock | None = None,
    ) -> None:
        self.app = app
        self.settings = settings
        self.hooks = hooks
        self.journal = journal
        self.dispatcher = CeleryDispatcher(
            app, AdoptedSender(app, journal.adoptions.calls, self._give_up_adopted)
        )
        self.starter = Starter(journal, self.dispatcher, settings, hooks)
        self.executor = Executor(
            journal, settings, hooks, self.starter.publish, self.route, SignatureReader(app), clock
        )
        self.controller = Controller(journal, hooks, self.starter.publish, self.join)
        self.sender = Sender(journal, settings, hooks, self._resume, self.join)
        self.process = ProcessIdentity(journal, settings)
        self.caretaker_notes = CaretakerNotes()
        self.clock = clock
        self._routed = functools.lru_cache(maxsize=1024)(self._find_route)

    def queue_for(self, workflow: Workflow[..., Any], asked: str | None) -> str:
        """Give the queue of a workflow's messages: the caller's, the workflow's, ours, then Celery's routing."""
        return (
            asked
            or workflow.settings.queue
            or self.settings.default_queue
            or self._routed(workflow.definition)
        )

    def route(self, definition: Any, asked: str | None) -> str:
        """Give the queue of what a run starts."""
        if isinstance(definition, Workflow):
            return self.queue_for(definition, asked)
        return self.queue_for_step(definition, asked)

    def queue_for_step(self, task: Task[..., Any], asked: str | None) -> str:
        """Give the queue of a step that is started: the call's, the task's, or where Celery routes its name.

        Raises:
            DefinitionInvalid: The application has another Celery task of that name.
        """
        if not isinstance(self.app.tasks.get(task.name), StepTask):
            raise DefinitionInvalid(
                f"task {task.name!r} cannot be started: the Celery application has another task, or a workflow, of "
                "that name. Give one of them another name, or use .run(...)."
            )
        return asked or task.settings.queue or self._routed(task.name)

    def definitions(self) -> Sequence[str]:
        """Give what this process has: what :func:`known_definitions` gives, and the application's Celery tasks."""
        own = (name for name, task in self.app.tasks.items() if kind_of_task(task) is None)
        return [*known_definitions(), *own]

    def expire_step(self, run_id: str) -> bool:
        """Settle a started step whose attempt has taken too long; tell whether there was one to settle."""
        taken = self.executor.claim_expired(run_id, self.process.owner())
        task = registry.task(taken[0].workflow) if taken else None
        if taken is None or task is None:
            return False
        self.executor.run_step(task, *taken, self.process.host, is_expired=True)
        return True

    def sweep_context(self) -> SweepContext:
        """Give what sweeps are given."""
        return SweepContext(
            journal=self.journal,
            dispatcher=self.dispatcher,
            publish=self.starter.publish,
            settings=self.settings,
            hooks=self.hooks,
            definitions=self.definitions,
            expire=self.expire_step,
            route=self.route,
            cancel=self.controller.cancel,
            enforce_deadline=self.controller.enforce_deadline,
            plans=self.plans,
        )

    def plans(self) -> Mapping[str, NewSchedule | None]:
        """Give the schedules that code declares in this process, by name; None for one that cannot be used."""
        return declared_plans(self.timezone())

    def timezone(self) -> str:
        """Give the name of the application's time zone."""
        return str(getattr(self.app.timezone, "key", None) or self.app.conf.timezone or "UTC")

    def join(self, session: Any, owner: str) -> Joined:
        """Join a transaction of the caller's; see :meth:`aiki_celery.engine.starting.Starter.join`."""
        return self.starter.join(session, owner, _send_none if self.app.conf.task_always_eager else None)

    def _resume(self, envelopes: Sequence[Envelope]) -> None:
        """Send the messages of runs that go on; none where everything is done by the process that has started it."""
        if not self.app.conf.task_always_eager:
            self.starter.publish(envelopes)

    def _give_up_adopted(self, run_id: str, call: AdoptedCall, error: Exception) -> None:
        why = f"its message could not be made: {in_a_line(error)}"
        settle(self, run_id, RunStatus.FAILED, error=write_failure(error, call.attempt), why=why)

    def _find_route(self, definition: str) -> str:
        default = self.app.conf.task_default_queue
        for name in (definition, definition.partition("@")[0]):
            queue = self.app.amqp.router.route({}, name).get("queue")
            routed = getattr(queue, "name", queue)
            if routed and routed != default:
                return str(routed)
        return str(default)


def _send_none(envelopes: Sequence[Envelope]) -> list[str]:
    """Where everything is done by the process that has started it: it looks by itself."""
    return []


def known_definitions() -> Sequence[str]:
    """Give what this process has: workflows as ``name@version``, and the names of tasks."""
    return [*(workflow.definition for workflow in registry), *(task.name for task in registry.tasks())]
