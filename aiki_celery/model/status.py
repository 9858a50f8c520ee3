"""The states of a run and of a recorded step."""

from __future__ import annotations

from enum import Enum


class RunStatus(str, Enum):
    """Where a run is. The last three are terminal."""

    SCHEDULED = "scheduled"
    QUEUED = "queued"
    RUNNING = "running"
    SLEEPING = "sleeping"
    AWAITING_EVENT = "awaiting_event"
    AWAITING_RETRY = "awaiting_retry"
    AWAITING_STEPS = "awaiting_steps"
    PAUSED = "paused"
    STALLED = "stalled"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    __str__ = str.__str__

    @property
    def is_terminal(self) -> bool:
        """Whether a run in this state is over."""
        return self in TERMINAL


TERMINAL = frozenset({RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED})

#: States that end by themselves when their ``due_at`` has come.
TIMED = frozenset(
    {
        RunStatus.SCHEDULED,
        RunStatus.SLEEPING,
        RunStatus.AWAITING_RETRY,
        # Where something that is waited for has a timeout.
        RunStatus.AWAITING_EVENT,
        RunStatus.AWAITING_STEPS,
    }
)


class StepKind(str, Enum):
    """What a record of a run is about."""

    TASK = "task"
    LAUNCH = "launch"
    CHILD = "child"
    FIRST = "first"
    ATTEMPT = "attempt"
    START = "start"
    SLEEP = "sleep"
    NOW = "now"
    RETRY = "retry"
    EVENT = "event"
    TIMEOUT = "timeout"
    CALLBACK = "callback"
    PATCH = "patch"
    WAKE = "wake"
    CANCEL = "cancel"

    __str__ = str.__str__


class StepStatus(str, Enum):
    """What is known about a recorded step."""

    COMPLETED = "completed"
    FAILED = "failed"
    STARTED = "started"
    WAITING = "waiting"
    CANCELLED = "cancelled"

    __str__ = str.__str__


class RunKind(str, Enum):
    """What a run is of."""

    WORKFLOW = "workflow"
    #: A task that a workflow has sent to a queue of its own.
    STEP = "step"
    #: A Celery task of this application, unchanged, that a workflow has sent.
    ADOPTED = "celery"
    #: A Celery task of another service, which this application can only send.
    FOREIGN = "foreign"

    __str__ = str.__str__

    @property
    def is_celery_task(self) -> bool:
        """Whether it is somebody's own Celery task: its message carries its arguments."""
        return self in (RunKind.ADOPTED, RunKind.FOREIGN)
