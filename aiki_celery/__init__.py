"""Durable workflows for the Celery deployment you already have.

Add one line to your Celery application; write a workflow as an ordinary Python function. Every step it finishes is in a
SQL journal before the next one starts, so when a message comes again, the finished steps are replayed and only the rest
is run.
"""

from aiki_celery.celery_binding.canvas.durable import DurableCanvas, durable
from aiki_celery.definitions.current import current_step
from aiki_celery.definitions.event import Event, event
from aiki_celery.definitions.future import EventFuture, StepFuture
from aiki_celery.definitions.handle import WorkflowHandle
from aiki_celery.definitions.retry import Retry
from aiki_celery.definitions.schedule import Schedule, schedule
from aiki_celery.definitions.sending import SendOutcome
from aiki_celery.definitions.task import AsyncTask, Task, task
from aiki_celery.definitions.workflow import Workflow, workflow
from aiki_celery.engine.context import WorkflowRun
from aiki_celery.engine.saga import Saga
from aiki_celery.engine.schedules.schedules import Schedules
from aiki_celery.errors import (
    AikiError,
    ChildLimitExceeded,
    ClaimLost,
    CompensationFailed,
    ConfigurationError,
    DefinitionInvalid,
    EventLimitExceeded,
    EventTimeout,
    Fatal,
    InputInvalid,
    JournalError,
    JournalUnavailable,
    NonDeterminismError,
    NotInitialized,
    NotJournalable,
    OutcomeUnknown,
    PayloadTooLarge,
    ReferenceConflict,
    ResultInvalid,
    RetryAfter,
    RunCancelled,
    RunError,
    RunFinished,
    RunNotFound,
    RunSuspended,
    ScheduleConflict,
    ScheduleError,
    ScheduleNotFound,
    SchemaMissing,
    SchemaOutdated,
    SettingInvalid,
    StepCancelled,
    StepError,
    StepLimitExceeded,
    StepTimeout,
    TaskFailed,
    TokenExpired,
    TokenInvalid,
    TokenRejected,
    TokenUsed,
    ValueRejected,
    WorkflowCancelled,
    WorkflowFailed,
    WrongState,
    WrongThread,
)
from aiki_celery.extension import Aiki
from aiki_celery.model.progress import Progress
from aiki_celery.model.schedules import ScheduleView
from aiki_celery.model.status import RunStatus
from aiki_celery.settings import AikiSettings

__all__ = [
    # The extension
    "Aiki",
    "AikiSettings",
    # Definitions
    "AsyncTask",
    "Event",
    "event",
    "Retry",
    "Schedule",
    "schedule",
    "Task",
    "task",
    "Workflow",
    "workflow",
    # Existing canvas
    "durable",
    "DurableCanvas",
    # Inside a workflow or a task
    "current_step",
    "EventFuture",
    "Saga",
    "StepFuture",
    "WorkflowRun",
    # Outside
    "Progress",
    "RunStatus",
    "Schedules",
    "ScheduleView",
    "SendOutcome",
    "WorkflowHandle",
    # Raised by tasks
    "Fatal",
    "RetryAfter",
    # Errors
    "AikiError",
    "ChildLimitExceeded",
    "CompensationFailed",
    "ConfigurationError",
    "DefinitionInvalid",
    "EventLimitExceeded",
    "EventTimeout",
    "InputInvalid",
    "JournalError",
    "JournalUnavailable",
    "NonDeterminismError",
    "NotInitialized",
    "NotJournalable",
    "OutcomeUnknown",
    "PayloadTooLarge",
    "ReferenceConflict",
    "ResultInvalid",
    "RunError",
    "RunFinished",
    "RunNotFound",
    "ScheduleConflict",
    "ScheduleError",
    "ScheduleNotFound",
    "SchemaMissing",
    "SchemaOutdated",
    "SettingInvalid",
    "StepCancelled",
    "StepError",
    "StepLimitExceeded",
    "StepTimeout",
    "TaskFailed",
    "TokenExpired",
    "TokenInvalid",
    "TokenRejected",
    "TokenUsed",
    "ValueRejected",
    "WorkflowCancelled",
    "WorkflowFailed",
    "WrongState",
    "WrongThread",
    # Control flow
    "ClaimLost",
    "RunCancelled",
    "RunSuspended",
]
