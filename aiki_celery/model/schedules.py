"""What is stored of a schedule, and how users see it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from aiki_celery.model.timing import Timing, read_timing

Overlap = Literal["skip", "allow", "cancel_previous"]

#: Where a schedule comes from: declared in code; made at run time; declared once, and in no code any more.
CODE, RUNTIME, RETIRED = "code", "runtime", "retired"


@dataclass(frozen=True, slots=True)
class NewSchedule:
    """A schedule to be written. Durations are microseconds.

    Attributes:
        name: Its name.
        workflow: Name of the workflow that it starts.
        timing: When it is due, as JSON text; see :func:`aiki_celery.model.timing.read_timing`.
        timezone: Where a cron expression is told.
        overlap: What happens when an earlier run is not over.
        catchup_window: How late a due time may still start a run; None for the latest missed one, however late.
        jitter: By how much each start may be put off.
        input: The workflow's arguments as JSON text.
        options: Options of each start as JSON text.
    """

    name: str
    workflow: str
    timing: str
    timezone: str
    overlap: str
    catchup_window: int | None
    jitter: int
    input: str
    options: str | None

    @property
    def fingerprint(self) -> str:
        """Tells two declarations apart."""
        return hashlib.blake2b(json.dumps(asdict(self), sort_keys=True).encode(), digest_size=20).hexdigest()

    @property
    def times(self) -> Timing:
        """Tells its due times."""
        return read_timing(self.timing, self.timezone)


@dataclass(frozen=True, slots=True)
class StoredSchedule:
    """A schedule as the journal has it. Instants are microseconds.

    ``due_at`` is the next due time and ``fires_at`` when that is acted on; a schedule that is paused or retired has no
    ``fires_at``.
    """

    plan: NewSchedule
    origin: str
    fingerprint: str
    paused_at: int | None
    due_at: int | None
    fires_at: int | None
    last_due_at: int | None
    last_run_id: str | None
    skip_note: str | None
    created_at: int
    updated_at: int


@dataclass(frozen=True, slots=True)
class LiveRun:
    """A run of a schedule that is not over."""

    id: str
    status: str
    is_being_cancelled: bool


@dataclass(frozen=True, slots=True)
class Skip:
    """The last due times for which a schedule started no run, and why.

    Attributes:
        first: The first of them.
        last: The last of them.
        reason: Why.
        run_id: The run that was not over, where that is why.
    """

    first: datetime
    last: datetime
    reason: str
    run_id: str | None = None


@dataclass(frozen=True, slots=True)
class ScheduleView:
    """A schedule as users and tools see it.

    Attributes:
        name: Its name.
        workflow: Name of the workflow that it starts.
        timing: When it is due, in words: ``cron 0 3 * * *``, ``every 1800 s``.
        timezone: Where a cron expression is told.
        overlap: What happens when an earlier run is not over.
        catchup_window: How late a due time may still start a run; None for the latest missed one, however late.
        jitter: By how much each start may be put off.
        input: The workflow's arguments, as JSON values by name.
        options: Options of each start.
        origin: ``code``, ``runtime``, or ``retired`` once no code declares it any more.
        paused_at: Since when it is paused.
        next_due_at: The next due time; None while it is paused or retired.
        next_start_at: When that is acted on, jitter included.
        last_due_at: The last due time that started a run.
        last_run_id: That run.
        last_skip: The last due times that started none.
        created_at: When it was made.
        updated_at: When it was last changed by somebody.
    """

    name: str
    workflow: str
    timing: str
    timezone: str
    overlap: str
    catchup_window: timedelta | None
    jitter: timedelta
    input: dict[str, Any]
    options: dict[str, Any]
    origin: str
    paused_at: datetime | None
    next_due_at: datetime | None
    next_start_at: datetime | None
    last_due_at: datetime | None
    last_run_id: str | None
    last_skip: Skip | None
    created_at: datetime
    updated_at: datetime

    @property
    def state(self) -> str:
        """``active``, ``paused`` or ``retired``."""
        if self.origin == RETIRED:
            return RETIRED
        return "paused" if self.paused_at is not None else "active"
