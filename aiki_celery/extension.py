"""``Aiki``: the one place where the parts are put together."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from contextvars import ContextVar
from types import TracebackType
from typing import Any, TypeVar

from celery import Celery

from aiki_celery.celery_binding.binding import Binding
from aiki_celery.celery_binding.bootsteps.consumer_step import consumer_step_for
from aiki_celery.celery_binding.bootsteps.worker_step import worker_step_for
from aiki_celery.celery_binding.celery_settings import celery_settings
from aiki_celery.celery_binding.compile import Compiler
from aiki_celery.celery_binding.default_broker import choose_broker
from aiki_celery.celery_binding.inline import run_at_once, run_many_at_once, run_queued
from aiki_celery.celery_binding.lazy import LazyBinding
from aiki_celery.celery_binding.process_signals import ProcessSignals
from aiki_celery.celery_binding.run_access import RunAccess
from aiki_celery.celery_binding.transport import register
from aiki_celery.definitions.current import runtime_scope, set_default_runtime
from aiki_celery.definitions.options import StartOptions
from aiki_celery.definitions.registry import registry
from aiki_celery.definitions.workflow import Workflow
from aiki_celery.engine.lifecycle import Lifecycle
from aiki_celery.engine.schedules.schedules import Schedules
from aiki_celery.errors import ConfigurationError, NotInitialized
from aiki_celery.journal.engines import given_engine
from aiki_celery.journal.journal import Journal
from aiki_celery.model.clock import Clock
from aiki_celery.model.events import RunEvent
from aiki_celery.model.records import NewRun, envelope_of
from aiki_celery.settings import AikiSettings, check_names, read_settings

E = TypeVar("E", bound=RunEvent)


#: The ``with aiki:`` blocks that this thread, or this asyncio task, is in.
_scopes: ContextVar[tuple[AbstractContextManager[None], ...]] = ContextVar("aiki_scopes", default=())


class Aiki(RunAccess):
    """Adds durable workflows to a Celery application.

    ``aiki = Aiki(app, journal="postgresql+psycopg://localhost/shop")``, or ``aiki = Aiki()`` and later
    ``aiki.init_app(app)``. The application's other tasks are left as they are. Nothing is connected before it is used.

    Settings are read when they are first needed, from keyword arguments given here, environment variables
    ``AIKI_...`` and Celery settings ``aiki_...``; see :class:`~aiki_celery.settings.AikiSettings`.

    Args:
        app: The Celery application, now or by :meth:`init_app`.
        clock: For tests on SQLite: tells and passes the time.
        **settings: Settings without their prefix, ``journal`` above all: a URL, or the SQLAlchemy engine of a server
            database that the application has already. Its pool must have room for each run that a process is at, and
            two more.

    Raises:
        SettingInvalid: There is no setting of that name.
        ConfigurationError: The application has an Aiki already.
    """

    def __init__(self, app: Celery | None = None, *, clock: Clock | None = None, **settings: Any) -> None:
        check_names(settings)
        self._engine = given_engine(settings.get("journal"))
        if self._engine is not None:
            settings["journal"] = self._engine.url.render_as_string()
        self._keywords = settings
        self._clock = clock
        self._app: Celery | None = None
        self._binding: Binding | None = None
        self._lock = threading.RLock()
        self._compiler: Compiler | None = None
        self._signals: ProcessSignals | None = None
        self._hooks = Lifecycle()
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Celery) -> None:
        """Add workflows to an application: compiled tasks, a bootstep for its workers, the embedded broker.

        Raises:
            ConfigurationError: This Aiki has an application, or the application an Aiki.
        """
        # Celery's proxies: a worker's application is the one behind them.
        app = getattr(app, "_get_current_object", lambda: app)()
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
        self._signals = ProcessSignals(lazy)  # type: ignore[arg-type]
        if app.configured:
            self._choose_broker()
        else:
            app.on_after_configure.connect(self._choose_broker, weak=False)
        self._compiler = Compiler(app, lambda: self.binding)
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
        if self._compiler is not None:
            self._compiler.check()
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

    def on(self, event: type[E], hook: Callable[[E], None]) -> Callable[[], None]:
        """Call ``hook`` with every lifecycle event of this type; give a function that ends that.

        The events are in :mod:`aiki_celery.model.events`. A hook runs inside the pass, so it should be quick; an
        ``Exception`` it raises is logged and goes no further.
        """
        return self._hooks.on(event, hook)

    @property
    def schedules(self) -> Schedules:
        """Makes, shows, pauses and triggers schedules; see :class:`~aiki_celery.Schedules`."""
        binding = self.binding
        return Schedules(
            binding.journal,
            binding.settings,
            binding.hooks,
            binding.route,
            binding.timezone,
            self._begin,
            self,
        )

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
        queue = self.binding.queue_for(workflow, options.queue)
        if self.app.conf.task_always_eager:
            return run_many_at_once(self.binding, workflow, calls, options, queue)
        return self.binding.starter.enqueue_many(workflow, calls, options, queue)

    def celery_task(self, workflow: Workflow[..., Any]) -> Any:
        """Give the Celery task a workflow was compiled into."""
        tasks = self.app.tasks
        if self._compiler is not None:
            self._compiler.check()
        return tasks[workflow.definition]

    def _begin(self, runs: Sequence[NewRun]) -> None:
        """Send the messages of new runs, or do them here."""
        if self.app.conf.task_always_eager:
            for run in runs:
                workflow = registry.workflow(run.workflow, run.version)
                assert workflow is not None, "the run was made from it in this process"
                run_queued(self.binding, workflow, run.id)
        else:
            self.binding.starter.publish([envelope_of(run) for run in runs])

    def close(self) -> None:
        """Close the journal's connections."""
        if self._binding is not None:
            self._binding.process.end()
            self._binding.journal.close()

    def __enter__(self) -> Aiki:
        """Make this the extension that definitions speak to, where a process has several."""
        scope = runtime_scope(self)
        scope.__enter__()
        _scopes.set((*_scopes.get(), scope))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Go back to the one before."""
        *outer, scope = _scopes.get()
        _scopes.set(tuple(outer))
        scope.__exit__(kind, error, trace)

    def _choose_broker(self, **_: Any) -> None:
        choose_broker(self.app.conf, self._keywords.get("journal"))
