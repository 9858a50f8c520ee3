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
class RunRecovered(RunEvent):
    """A run was taken from a dead worker or process.

    Attributes:
        status: ``queued``, or ``stalled`` after too many crashes without progress.
    """

    status: RunStatus


@dataclass(frozen=True, slots=True)
class WriteRefused(RunEvent):
    """A write with a stale epoch was refused by the journal.

    Attributes:
        epoch: The stale epoch.
    """

    epoch: int
