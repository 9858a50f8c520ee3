"""What happens to a run, as seen by hooks.

Each event is a frozen record. A name ending in *-ing* is emitted before the journal is written and one ending in *-ed*
after it was; metrics, tracing and the crash injector are hooks on the same list.
"""

from __future__ import annotations

from dataclasses import dataclass

from aiki_celery.model.status import RunStatus


@dataclass(frozen=True, slots=True)
class RunEvent:
    """Top of the tree of events.

    Attributes:
        run_id: The run it happens to.
        workflow: Name of its workflow.
    """

    run_id: str
    workflow: str


@dataclass(frozen=True, slots=True)
class RunEnqueuing(RunEvent):
    """The run is about to be written to the journal."""


@dataclass(frozen=True, slots=True)
class RunEnqueued(RunEvent):
    """The run is in the journal; its message has not been sent."""


@dataclass(frozen=True, slots=True)
class RunPublished(RunEvent):
    """The broker has accepted a message about the run."""


@dataclass(frozen=True, slots=True)
class RunClaimed(RunEvent):
    """A worker has taken the run and read its record.

    Attributes:
        epoch: The epoch that fences this pass.
        recorded: How many records were read.
    """

    epoch: int
    recorded: int


@dataclass(frozen=True, slots=True)
class StepEvent(RunEvent):
    """Something about one step.

    Attributes:
        step: Name of the task.
        address: Where the step's results are recorded.
        attempt: Which attempt this is, counting from 1.
    """

    step: str
    address: str
    attempt: int


@dataclass(frozen=True, slots=True)
class StepReplayed(StepEvent):
    """A recorded step was read back instead of being run."""


@dataclass(frozen=True, slots=True)
class StepStarting(StepEvent):
    """The step's code is about to run."""


@dataclass(frozen=True, slots=True)
class StepCommitting(StepEvent):
    """The step's code has run; its outcome is about to be recorded.

    Attributes:
        failed: Whether the outcome is a failure.
    """

    failed: bool


@dataclass(frozen=True, slots=True)
class StepCommitted(StepEvent):
    """The step's outcome is recorded.

    Attributes:
        failed: Whether the outcome is a failure.
        seconds: How long the attempt took.
    """

    failed: bool
    seconds: float


@dataclass(frozen=True, slots=True)
class AttemptCommitting(StepEvent):
    """An attempt failed and will be repeated; that and the delay drawn are about to be recorded.

    Attributes:
        delay: Seconds until the next attempt.
    """

    delay: float


@dataclass(frozen=True, slots=True)
class AttemptCommitted(StepEvent):
    """A failed attempt and the delay before the next are recorded.

    Attributes:
        delay: Seconds until the next attempt.
    """

    delay: float


@dataclass(frozen=True, slots=True)
class StepTaken(StepEvent):
    """A worker has taken a step that was sent to its queue."""


@dataclass(frozen=True, slots=True)
class StepsLaunching(RunEvent):
    """Steps or children are about to be recorded as started.

    Attributes:
        count: How many.
    """

    count: int


@dataclass(frozen=True, slots=True)
class StepsLaunched(RunEvent):
    """Steps or children are recorded as started; their messages have not been sent.

    Attributes:
        count: How many.
    """

    count: int


@dataclass(frozen=True, slots=True)
class RunSuspending(RunEvent):
    """The run is about to be settled as waiting.

    Attributes:
        status: The state it will wait in.
    """

    status: RunStatus


@dataclass(frozen=True, slots=True)
class RunParked(RunEvent):
    """The run is settled as waiting, and its worker is free.

    Attributes:
        status: The state it waits in.
    """

    status: RunStatus


@dataclass(frozen=True, slots=True)
class EventSending(RunEvent):
    """An event is about to be written to the run's inbox.

    Attributes:
        event: Name of the event.
    """

    event: str


@dataclass(frozen=True, slots=True)
class EventSent(RunEvent):
    """An event is in the run's inbox; if it resumes the run, the message has not been sent.

    Attributes:
        event: Name of the event.
        is_new: Whether it counts: not if one with its id had come before.
    """

    event: str
    is_new: bool


@dataclass(frozen=True, slots=True)
class RunFinishing(RunEvent):
    """The run's outcome is about to be recorded.

    Attributes:
        status: Terminal state, or ``stalled``.
    """

    status: RunStatus


@dataclass(frozen=True, slots=True)
class RunFinished(RunEvent):
    """The run's outcome is recorded; nobody outside has been told yet.

    Attributes:
        status: Terminal state, or ``stalled``.
    """

    status: RunStatus


@dataclass(frozen=True, slots=True)
class RunRenewing(RunEvent):
    """The run is about to go on as new, with another input and an empty record.

    Attributes:
        generation: Which one is about to begin, counting from 0.
    """

    generation: int


@dataclass(frozen=True, slots=True)
class RunRenewed(RunEvent):
    """The run goes on as new and is queued; its message has not been sent.

    Attributes:
        generation: Which one has begun, counting from 0.
    """

    generation: int


@dataclass(frozen=True, slots=True)
class CancelRequested(RunEvent):
    """A run's cancel is in the journal: the run is over, or its code will be told."""


@dataclass(frozen=True, slots=True)
class PauseRequested(RunEvent):
    """A run's pause is in the journal: it is paused, or will be when it next writes."""


@dataclass(frozen=True, slots=True)
class RunResumed(RunEvent):
    """A paused run is queued, or waits for its start again; its message has not been sent."""


@dataclass(frozen=True, slots=True)
class RunWoken(RunEvent):
    """A run's sleep was ended before its time, and the run is queued; its message has not been sent."""


@dataclass(frozen=True, slots=True)
class CancelNoting(RunEvent):
    """The pass of a run has learnt that the run is to be cancelled, and is about to record that."""


@dataclass(frozen=True, slots=True)
class CancelNoted(RunEvent):
    """The cancel is recorded; the workflow's code has not been told."""


@dataclass(frozen=True, slots=True)
class RunRecovered(RunEvent):
    """A run was taken from a dead worker or process.

    Attributes:
        status: ``queued``, or ``stalled`` after too many crashes without progress.
    """

    status: RunStatus


@dataclass(frozen=True, slots=True)
class ScheduleFiring(RunEvent):
    """A run that a schedule starts is about to be written to the journal.

    Attributes:
        schedule: Name of the schedule.
        scheduled_for: The due time, in microseconds.
    """

    schedule: str
    scheduled_for: int


@dataclass(frozen=True, slots=True)
class ScheduleFired(RunEvent):
    """The run that a schedule has started is in the journal; its message has not been sent.

    Attributes:
        schedule: Name of the schedule.
        scheduled_for: The due time, in microseconds.
    """

    schedule: str
    scheduled_for: int


@dataclass(frozen=True, slots=True)
class ScheduleSkipped(RunEvent):
    """Due times of a schedule have started no run, and will not. ``run_id`` is the run that was not over, or ``""``.

    Attributes:
        schedule: Name of the schedule.
        first: The first of these due times, in microseconds.
        last: The last of them.
        reason: Why.
    """

    schedule: str
    first: int
    last: int
    reason: str


@dataclass(frozen=True, slots=True)
class WriteRefused(RunEvent):
    """A write with a stale epoch was refused by the journal.

    Attributes:
        epoch: The stale epoch.
    """

    epoch: int
