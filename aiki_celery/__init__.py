"""Durable workflows for the Celery deployment you already have.

Add one line to your Celery application; write a workflow as an ordinary Python function. Every step it finishes is in a
SQL journal before the next one starts, so when a message comes again, the finished steps are replayed and only the rest
is run.
"""

from aiki_celery.celery_binding.canvas.durable import DurableCanvas, durable
from aiki_celery.definitions.current import current_step
from aiki_celery.definitions.future import StepFuture
from aiki_celery.definitions.handle import WorkflowHandle
from aiki_celery.definitions.retry import Retry
from aiki_celery.definitions.task import Task, task
from aiki_celery.definitions.workflow import Workflow, workflow
from aiki_celery.engine.context import WorkflowRun
from aiki_celery.errors import (
    AikiError,
    ClaimLost,
    ConfigurationError,
    DefinitionInvalid,
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
    RunError,
    RunNotFound,
    RunSuspended,
    SchemaMissing,
    SchemaOutdated,
    SettingInvalid,
    StepCancelled,
    StepError,
    StepLimitExceeded,
    StepTimeout,
    TaskFailed,
    ValueRejected,
    WorkflowCancelled,
    WorkflowFailed,
    WrongThread,
)
from aiki_celery.extension import Aiki
from aiki_celery.model.status import RunStatus
from aiki_celery.settings import AikiSettings

__all__ = [
    # The extension
    "Aiki",
    "AikiSettings",
    # Definitions
    "Retry",
    "Task",
    "task",
    "Workflow",
    "workflow",
    # Existing canvas
    "durable",
    "DurableCanvas",
    # Inside a workflow or a task
    "current_step",
    "StepFuture",
    "WorkflowRun",
    # Outside
    "RunStatus",
    "WorkflowHandle",
    # Raised by tasks
    "Fatal",
    "RetryAfter",
    # Errors
    "AikiError",
    "ConfigurationError",
    "DefinitionInvalid",
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
    "RunNotFound",
    "SchemaMissing",
    "SchemaOutdated",
    "SettingInvalid",
    "StepCancelled",
    "StepError",
    "StepLimitExceeded",
    "StepTimeout",
    "TaskFailed",
    "ValueRejected",
    "WorkflowCancelled",
    "WorkflowFailed",
    "WrongThread",
    # Control flow
    "ClaimLost",
    "RunSuspended",
]
