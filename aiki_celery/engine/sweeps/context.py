"""What every sweep is given."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiki_celery.engine.lifecycle import Lifecycle
from aiki_celery.engine.ports import Dispatcher
from aiki_celery.journal.journal import Journal
from aiki_celery.model.records import Envelope
from aiki_celery.model.schedules import NewSchedule
from aiki_celery.settings import AikiSettings


@dataclass(frozen=True, slots=True)
class SweepContext:
    """What every sweep is given.

    Attributes:
        journal: Where runs are recorded.
        dispatcher: Who sends messages.
        publish: Sends messages and notes in the journal which were not accepted.
        settings: The settings.
        hooks: Who is told of lifecycle events.
        definitions: Gives what this process has: workflows as ``name@version``, and the names of tasks.
        expire: Settles a started step whose attempt has taken too long; tells whether there was one.
        route: Gives the queue of what is started: the caller's, the definition's, or where its name is routed.
        cancel: Asks a run's cancel, with a reason.
        enforce_deadline: Cancels a run whose deadline has passed.
        plans: Gives the schedules that code declares in this process, by name; None for one that cannot be used.
    """

    journal: Journal
    dispatcher: Dispatcher
    publish: Callable[[Sequence[Envelope]], None]
    settings: AikiSettings
    hooks: Lifecycle
    definitions: Callable[[], Collection[str]]
    expire: Callable[[str], bool]
    route: Callable[[Any, str | None], str | None]
    cancel: Callable[[str, str], object]
    enforce_deadline: Callable[[str], object]
    plans: Callable[[], Mapping[str, NewSchedule | None]]
