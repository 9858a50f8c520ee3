"""``Aiki``: the one place where the parts are put together."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, TypeVar

from celery import Celery

from aiki_celery.celery_binding import process_signals
from aiki_celery.celery_binding.binding import Binding
from aiki_celery.celery_binding.bootsteps.consumer_step import consumer_step_for
from aiki_celery.celery_binding.bootsteps.worker_step import worker_step_for
from aiki_celery.celery_binding.celery_settings import celery_settings
from aiki_celery.celery_binding.compile import compile_all
from aiki_celery.celery_binding.default_broker import choose_broker
from aiki_celery.celery_binding.inline import run_at_once, run_queued, wait
from aiki_celery.celery_binding.lazy import LazyBinding
from aiki_celery.celery_binding.transport import register
from aiki_celery.definitions.current import runtime_scope, set_default_runtime
from aiki_celery.definitions.options import StartOptions
from aiki_celery.definitions.registry import registry
from aiki_celery.definitions.workflow import Workflow
from aiki_celery.engine.lifecycle import Lifecycle
from aiki_celery.errors import ConfigurationError, NotInitialized
from aiki_celery.journal.journal import Journal
from aiki_celery.model.clock import Clock
from aiki_celery.model.events import RunEvent
from aiki_celery.model.records import RunView, Transition
from aiki_celery.settings import AikiSettings, check_names, read_settings

E = TypeVar("E", bound=RunEvent)


class Aiki:
    """Adds durable workflows to a Celery application.

    ``aiki = Aiki(app, journal="postgresql+psycopg://localhost/shop")``, or ``aiki = Aiki()`` and later
    ``aiki.init_app(app)``. The application's other tasks are left as they are. Nothing is connected before it is used.

    Settings are read when they are first needed, from keyword arguments given here, environment variables
    ``AIKI_...`` and Celery settings ``aiki_...``; see :class:`~aiki_celery.settings.AikiSettings`.

    Args:
        app: The Celery application, now or by :meth:`init_app`.
        clock: For tests on SQLite: tells and passes the time.
        **settings: Settings without their prefix, ``journal`` above all: a URL, or the SQLAlchemy engine of a server
            database that the application has already.

    Raises:
        SettingInvalid: There is no setting of that name.
        ConfigurationError: The application has an Aiki already.
    """

    def __init__(self, app: Celery | None = None, *, clock: Clock | None = None, **settings: Any) -> None:
        check_names(settings)
        self._engine = None if isinstance(settings.get("journal", ""), str) else settings["journal"]
        if self._engine is not None:
            settings["journal"] = self._engine.url.render_as_string()
        self._keywords = settings
        self._clock = clock
        self._app: Celery | None = None
        self._binding: Binding | None = None
        self._lock = threading.RLock()
        self._refused: list[Exception] = []
        self._hooks = Lifecycle()
        self._scopes: list[AbstractContextManager[None]] = []
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Celery) -> None:
        """Add workflows to an application: compiled tasks, a bootstep for its workers, the embedded broker.

        Raises:
            ConfigurationError: This Aiki has an application, or the application an Aiki.
        """
        if self._app is not None:
            raise ConfigurationError(
                f"This Aiki has the application {self._app.main!r} already. Make another Aiki."
            )
        if getattr(app, "aiki", None) is not None:
            raise ConfigurationError(
                f"The Celery application {app.main!r} has an Aiki already: app.aiki. Use that one; a second one would "
                "run every sweep twice."
            )
        register()
        self._app = app
        app.aiki = self
        lazy = LazyBinding(app, lambda: self.binding)
        app.steps["worker"].add(worker_step_for(lazy))  # type: ignore[arg-type]
        app.steps["consumer"].add(consumer_step_for(lazy))  # type: ignore[arg-type]
        process_signals.connect(lazy)  # type: ignore[arg-type]
        if app.configured:
            self._choose_broker()
        else:
            app.on_after_configure.connect(self._choose_broker, weak=False)
        compile_all(app, lambda: self.binding, self._refused)
        set_default_runtime(self)

    @property
    def app(self) -> Celery:
        """The Celery application.

        Raises:
            NotInitialized: There is none yet.
        """
        if self._app is None:
            raise NotInitialized("This Aiki has no Celery application yet: call aiki.init_app(app).")
        return self._app

    @property
    def binding(self) -> Binding:
        """The application with its journal and engine, put together at first use.

        Raises:
            NotInitialized: There is no application yet.
            SettingInvalid: A setting is unknown or has a bad value.
            DefinitionInvalid: The application has a task with the name of a workflow.
        """
        if self._refused:
            raise self._refused[0]
        if self._binding is None:
            app = self.app
            with self._lock:
                if self._binding is None:
                    settings = read_settings(celery_settings(app), os.environ, self._keywords)
                    journal = Journal(settings, self._clock.now if self._clock else None, self._engine)
                    self._binding = Binding(app, settings, self._hooks, journal, self._clock)
        return self._binding

    @property
    def settings(self) -> AikiSettings:
        """The settings, as they were read at first use."""
        return self.binding.settings

    @property
    def journal(self) -> Journal:
        """Where runs are recorded."""
        return self.binding.journal

    def on(self, event: type[E], hook: Callable[[E], None]) -> Callable[[], None]:
        """Call ``hook`` with every lifecycle event of this type; give a function that ends that.

        The events are in :mod:`aiki_celery.model.events`. A hook runs inside the pass, so it should be quick; an
        ``Exception`` it raises is logged and goes no further.
        """
        return self._hooks.on(event, hook)

    def upgrade_journal(self) -> str:
        """Make or upgrade the journal's tables, as ``celery aiki db upgrade`` does, and give their revision."""
        return self.journal.upgrade()

    def enqueue(
        self,
        workflow: Workflow[..., Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        options: StartOptions,
    ) -> str:
        """Journal a run, send its message, give its id; what ``workflow.enqueue(...)`` calls."""
        binding = self.binding
        queue = binding.queue_for(workflow, options.queue)
        if self.app.conf.task_always_eager:
            return run_at_once(binding, workflow, args, kwargs, options, queue)
        return binding.starter.enqueue(workflow, args, kwargs, options, queue)

    def enqueue_many(
        self, workflow: Workflow[..., Any], calls: Sequence[Sequence[Any]], options: StartOptions
    ) -> list[str]:
        """Journal many runs at once; what ``workflow.enqueue_many(...)`` calls."""
        if self.app.conf.task_always_eager:
            return [self.enqueue(workflow, call, {}, options) for call in calls]
        queue = self.binding.queue_for(workflow, options.queue)
        return self.binding.starter.enqueue_many(workflow, calls, options, queue)

    def celery_task(self, workflow: Workflow[..., Any]) -> Any:
        """Give the Celery task a workflow was compiled into."""
        tasks = self.app.tasks
        if self._refused:
            raise self._refused[0]
        return tasks[workflow.definition]

    def view(self, run_id: str) -> RunView:
        """Give a run as it is now.

        Raises:
            RunNotFound: The journal does not know it.
        """
        self.journal.ensure_ready()
        return self.journal.views.get(run_id)

    def wait(self, run_id: str, timeout: float | None) -> RunView:
        """Wait until a run is over.

        Raises:
            TimeoutError: It was not over in time; says what it is doing.
            RunNotFound: The journal does not know it.
        """
        return wait(lambda: self.view(run_id), timeout)

    def history(self, run_id: str) -> list[Transition]:
        """Give a run's transitions, oldest first."""
        self.journal.ensure_ready()
        return self.journal.views.history(run_id)

    def requeue(self, run_id: str) -> None:
        """Queue a stalled run again."""
        self.journal.ensure_ready()
        self.journal.views.requeue(run_id)

    def retry(self, run_id: str) -> None:
        """Queue a failed run again, to go on from what failed; what ``handle.retry()`` calls."""
        self.journal.ensure_ready()
        again = self.journal.second_chances.retry(run_id)
        if again is None:
            return
        workflow = registry.workflow(again.workflow, again.version)
        if self.app.conf.task_always_eager and workflow is not None:
            run_queued(self.binding, workflow, run_id)
        else:
            self.binding.starter.publish([again])

    def close(self) -> None:
        """Close the journal's connections."""
        if self._binding is not None:
            self._binding.process.end()
            self._binding.journal.close()

    def __enter__(self) -> Aiki:
        """Make this the extension that definitions speak to, where a process has several."""
        scope = runtime_scope(self)
        scope.__enter__()
        self._scopes.append(scope)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Go back to the one before."""
        self._scopes.pop().__exit__(kind, error, trace)

    def _choose_broker(self, **_: Any) -> None:
        choose_broker(self.app.conf, self._keywords.get("journal"))
