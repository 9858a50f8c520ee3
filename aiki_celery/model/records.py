"""What is stored of a run, as plain frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from aiki_celery.model.received import Received
from aiki_celery.model.status import RunKind, RunStatus, StepKind, StepStatus


def definition_name(name: str, version: str) -> str:
    """Give the name of the Celery task: with the version, of a workflow; a task has none."""
    return f"{name}@{version}" if version else name


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run to be written to the journal.

    ``due_at`` is an instant in microseconds; ``delay`` seconds from the database's now. At most one of them is set.
    So it is with ``deadline_at``, and ``deadline`` in seconds.
    """

    id: str
    workflow: str
    version: str
    input: str
    input_hash: str
    encoding: int
    origin: str = "journal"
    reference_id: str | None = None
    queue: str | None = None
    priority: int | None = None
    request: str | None = None
    delay: float | None = None
    due_at: int | None = None
    tags: str | None = None
    deadline: float | None = None
    deadline_at: int | None = None
    forked_from: str | None = None
    schedule: str | None = None
    scheduled_for: int | None = None

    @property
    def waits(self) -> bool:
        """Whether it waits for a time before it may start."""
        return self.due_at is not None or bool(self.delay)

    @property
    def definition(self) -> str:
        """Name and version as one name, which is also the Celery task's."""
        return definition_name(self.workflow, self.version)


@dataclass(frozen=True, slots=True)
class NewChild:
    """A run that another one starts: a remote step or a child workflow.

    Attributes:
        run: The run to be written.
        kind: What it is of.
        parent_seq: Place of its start in the parent's record.
        on_close: ``cancel`` where it ends with its parent.
        lane: Where only so many may be under way at once: the first one's place; they queue one another.
        is_held: Whether it waits for another one of its lane to end.
        timeout: Longest time of an attempt, in microseconds.
        call: What its worker needs to know of the call, as JSON text.
    """

    run: NewRun
    kind: RunKind
    parent_seq: int
    on_close: str | None = None
    lane: int | None = None
    is_held: bool = False
    timeout: int | None = None
    call: str | None = None


class StepRecord(NamedTuple):
    """One recorded act of a run. ``seq`` counts from 1; instants are microseconds.

    A tuple, because a replay makes as many of them as the run has records.
    """

    seq: int
    kind: StepKind
    name: str
    address: str
    status: StepStatus
    attempt: int
    epoch: int
    started_at: int
    finished_at: int
    input: str | None = None
    value: str | None = None
    due_at: int | None = None
    child_id: str | None = None


@dataclass(frozen=True, slots=True)
class Owner:
    """Who holds a run: a worker (its main process) and the process of it that runs the code."""

    worker_id: str
    pid: int


@dataclass(frozen=True, slots=True)
class Claim:
    """A run as it was when it was taken, with the epoch and token that fence every write to it.

    ``now`` is the database's instant of the claim, in microseconds; ``inbox`` the events the run has received.
    """

    run_id: str
    workflow: str
    version: str
    epoch: int
    token: str
    attempt: int
    reference_id: str | None
    input: str
    queue: str | None
    priority: int | None
    origin: str
    request: str | None
    created_at: int
    now: int
    history_length: int = 0
    kind: RunKind = RunKind.WORKFLOW
    parent_id: str | None = None
    parent_seq: int | None = None
    lane: int | None = None
    timeout: int | None = None
    call: str | None = None
    details: str | None = None
    events: int = 0
    control: str | None = None
    cancel_reason: str | None = None
    cancelled_at: int | None = None
    generation: int = 0
    base_seq: int = 0
    scheduled_for: int | None = None
    inbox: tuple[Received, ...] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """An error as it is recorded. ``args`` are the error's own, where they have a JSON form."""

    type: str
    message: str
    traceback: str
    attempts: int
    args: list[object] | None = None


@dataclass(frozen=True, slots=True)
class Envelope:
    """What a message about a run is made from. ``request`` holds Celery's execution options as JSON."""

    run_id: str
    workflow: str
    version: str
    queue: str | None
    priority: int | None
    request: str | None
    kind: RunKind = RunKind.WORKFLOW

    @property
    def definition(self) -> str:
        """Name and version as one name, which is also the Celery task's."""
        return definition_name(self.workflow, self.version)


def envelope_of(run: NewRun, kind: RunKind = RunKind.WORKFLOW) -> Envelope:
    """Give what the message of a new run is made from."""
    return Envelope(run.id, run.workflow, run.version, run.queue, run.priority, run.request, kind)


@dataclass(frozen=True, slots=True)
class RunView:
    """A run as users and tools see it. Instants are microseconds.

    ``kind`` tells a workflow's run from a step that one has started; ``parent_id`` is who started it. ``details`` is
    what the step in flight last reported, as JSON text. ``control`` is what a run is asked for that somebody holds:
    ``pause`` or ``cancel``.
    """

    id: str
    workflow: str
    version: str
    reference_id: str | None
    status: RunStatus
    reason: str | None
    epoch: int
    attempt: int
    recoveries: int
    owner: str | None
    queue: str | None
    input: str
    output: str | None
    error: str | None
    settlement: str | None
    due_at: int | None
    created_at: int
    claimed_at: int | None
    finished_at: int | None
    kind: RunKind
    parent_id: str | None
    details: str | None
    control: str | None
    cancel_reason: str | None
    cancelled_at: int | None
    deadline_at: int | None
    forked_from: str | None
    schedule: str | None
    scheduled_for: int | None
    generation: int
    progress_note: str | None

    @property
    def definition(self) -> str:
        """Name and version as one name, which is also the Celery task's."""
        return definition_name(self.workflow, self.version)


@dataclass(frozen=True, slots=True)
class StartedView:
    """A run that another one has started, or follows.

    Attributes:
        run: The run.
        attempts: How often it was tried, the attempt it is at included.
    """

    run: RunView
    attempts: int


@dataclass(frozen=True, slots=True)
class Transition:
    """One line of a run's history: the state entered, when (microseconds), and why."""

    status: RunStatus
    at: int
    reason: str
