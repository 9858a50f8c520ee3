"""Every error a user can meet, and the two control-flow exceptions beside them.

::

    AikiError
    ├── ConfigurationError          what the programmer wrote cannot work
    │   ├── SettingInvalid          a setting is unknown or has a bad value
    │   ├── DefinitionInvalid       a task or workflow is not well formed
    │   └── NotInitialized          no Aiki extension is active in this process
    ├── ValueRejected               a value cannot be used where it was given
    │   ├── InputInvalid            an argument does not fit the signature
    │   ├── ResultInvalid           a result does not fit the return annotation
    │   ├── NotJournalable          a value has no JSON form
    │   └── PayloadTooLarge         a value exceeds ``aiki_max_payload``
    ├── RunError                    about one run
    │   ├── RunNotFound             the journal has no such run
    │   ├── ReferenceConflict       a reference id is taken by a run with other input
    │   ├── NonDeterminismError     the code no longer fits the record
    │   ├── StepLimitExceeded       the run has more steps than ``aiki_max_steps``
    │   ├── WrongThread             a journaled call from a thread that is not the run's
    │   ├── WorkflowFailed          the run ended as failed
    │   └── WorkflowCancelled       the run ended as cancelled
    ├── StepError                   what a step raises inside the workflow
    │   ├── TaskFailed              the task gave up
    │   ├── StepCancelled           it was cancelled before it was over
    │   ├── StepTimeout             an attempt took longer than its ``timeout``
    │   └── OutcomeUnknown          an at-most-once task was interrupted
    ├── JournalError                about the journal's database
    │   ├── SchemaMissing           the tables are not there
    │   ├── SchemaOutdated          the tables are of another version
    │   └── JournalUnavailable      the database could not be reached for too long
    ├── Fatal                       raised by a task: do not retry
    └── RetryAfter                  raised by a task: retry after so many seconds

    BaseException
    ├── RunSuspended                unwinds a workflow whose run is waiting
    └── ClaimLost                   unwinds a workflow whose run belongs to somebody else now

Errors keep their constructor arguments in ``args``, so they survive pickling between a pool process and its parent.
"""

from __future__ import annotations

from collections.abc import Sequence


class AikiError(Exception):
    """Top of the tree: catches everything aiki_celery raises on purpose."""


class ConfigurationError(AikiError):
    """What the programmer wrote cannot work, whatever the input."""


class SettingInvalid(ConfigurationError):
    """A setting is unknown or has a value that cannot be used."""


class DefinitionInvalid(ConfigurationError):
    """A task or workflow definition is not well formed."""


class NotInitialized(ConfigurationError):
    """No :class:`~aiki_celery.Aiki` is active in this process."""


class ValueRejected(AikiError):
    """A value cannot be used where it was given."""


class InputInvalid(ValueRejected):
    """An argument does not fit the definition's signature.

    Args:
        definition: Name of the task or workflow.
        argument: Name of the argument, or ``""`` when the call as a whole does not fit.
        detail: What was expected, in pydantic's own words where they exist.
    """

    def __init__(self, definition: str, argument: str, detail: str) -> None:
        super().__init__(definition, argument, detail)
        self.definition = definition
        self.argument = argument
        self.detail = detail

    def __str__(self) -> str:
        where = f"argument {self.argument!r}" if self.argument else "the arguments"
        return f"{self.definition}: {where}: {self.detail}"


class ResultInvalid(ValueRejected):
    """A result does not fit the return annotation of what returned it."""

    def __init__(self, definition: str, detail: str) -> None:
        super().__init__(definition, detail)
        self.definition = definition
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.definition}: the result does not fit the return annotation: {self.detail}"


class NotJournalable(ValueRejected):
    """A value has no JSON form.

    Args:
        definition: Name of the task or workflow.
        path: Place of the value, as in ``order.lines[2].price``.
        detail: What is wrong with it, and the remedy.
    """

    def __init__(self, definition: str, path: str, detail: str) -> None:
        super().__init__(definition, path, detail)
        self.definition = definition
        self.path = path
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.definition}: {self.path} cannot be journaled: {self.detail}"


class PayloadTooLarge(ValueRejected):
    """A value exceeds ``aiki_max_payload`` bytes."""

    def __init__(self, definition: str, what: str, size: int, limit: int) -> None:
        super().__init__(definition, what, size, limit)
        self.definition = definition
        self.what = what
        self.size = size
        self.limit = limit

    def __str__(self) -> str:
        return (
            f"{self.definition}: {self.what} has {self.size:,} bytes of JSON, more than aiki_max_payload "
            f"({self.limit:,}). Store it elsewhere and pass a reference, or raise the setting."
        )


class RunError(AikiError):
    """About one run."""


class RunNotFound(RunError):
    """The journal has no run with this id."""

    def __init__(self, run_id: str) -> None:
        super().__init__(run_id)
        self.run_id = run_id

    def __str__(self) -> str:
        return f"The journal has no run {self.run_id!r}."


class ReferenceConflict(RunError):
    """A reference id is already taken by a run of the same workflow with other input."""

    def __init__(self, workflow: str, reference_id: str, run_id: str) -> None:
        super().__init__(workflow, reference_id, run_id)
        self.workflow = workflow
        self.reference_id = reference_id
        self.run_id = run_id

    def __str__(self) -> str:
        return (
            f"{self.workflow}: reference id {self.reference_id!r} belongs to run {self.run_id} with other input. "
            'Use another reference id, or options(on_conflict="return_existing") to get that run.'
        )


class NonDeterminismError(RunError):
    """The workflow's code asked for a step while recorded steps it has not asked for are left.

    Args:
        run_id: The run, which stops as ``stalled`` with the reason ``diverged``.
        asked: Address of the step asked for.
        recorded: Addresses that are recorded and were not consumed, in order.
    """

    def __init__(self, run_id: str, asked: str, recorded: Sequence[str]) -> None:
        super().__init__(run_id, asked, tuple(recorded))
        self.run_id = run_id
        self.asked = asked
        self.recorded = tuple(recorded)

    def __str__(self) -> str:
        shown = ", ".join(self.recorded[:5]) + (
            f" and {len(self.recorded) - 5} more" if len(self.recorded) > 5 else ""
        )
        return (
            f"Run {self.run_id}: the code asks for step {self.asked}, which is not recorded, while recorded steps "
            f"were not asked for: {shown}. The code or an input has changed under a run in flight. Nothing was run; "
            "deploy code that fits the record and requeue the run."
        )


class StepLimitExceeded(RunError):
    """The run has recorded as many steps as ``aiki_max_steps`` allows."""

    def __init__(self, run_id: str, limit: int) -> None:
        super().__init__(run_id, limit)
        self.run_id = run_id
        self.limit = limit

    def __str__(self) -> str:
        return f"Run {self.run_id} has reached aiki_max_steps ({self.limit:,}). Split the work into several runs."


class WrongThread(RunError):
    """A journaled call came from a thread that is not the run's own."""


class WorkflowFailed(RunError):
    """The run ended as failed.

    Args:
        workflow: Name of the workflow.
        run_id: Id of the run.
        type: Class name of the error that ended it.
        message: Text of that error.
        traceback: Traceback text as it was recorded, or ``""``.
    """

    def __init__(self, workflow: str, run_id: str, type: str, message: str, traceback: str = "") -> None:
        super().__init__(workflow, run_id, type, message, traceback)
        self.workflow = workflow
        self.run_id = run_id
        self.type = type
        self.message = message
        self.traceback = traceback

    def __str__(self) -> str:
        return f"{self.workflow} run {self.run_id} failed: {self.type}: {self.message}"

    def __repr__(self) -> str:
        return f"WorkflowFailed({str(self)!r})"  # Celery logs it beside the traceback


class WorkflowCancelled(RunError):
    """The run ended as cancelled."""

    def __init__(self, workflow: str, run_id: str, reason: str = "") -> None:
        super().__init__(workflow, run_id, reason)
        self.workflow = workflow
        self.run_id = run_id
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.workflow} run {self.run_id} was cancelled" + (
            f": {self.reason}" if self.reason else "."
        )


class StepError(AikiError):
    """What a step raises inside the workflow."""


class TaskFailed(StepError):
    """A task gave up, the first time and on every replay alike.

    On the first run the original exception is ``__cause__``; on a replay only its recorded facts are left.

    Args:
        task: Name of the task.
        type: Class name of the last error.
        message: Text of the last error.
        attempts: How often the task was tried, the first time included.
        traceback: Traceback text of the last error.
    """

    def __init__(self, task: str, type: str, message: str, attempts: int, traceback: str = "") -> None:
        super().__init__(task, type, message, attempts, traceback)
        self.task = task
        self.type = type
        self.message = message
        self.attempts = attempts
        self.traceback = traceback

    def __str__(self) -> str:
        tries = "1 attempt" if self.attempts == 1 else f"{self.attempts} attempts"
        return f"{self.task} failed after {tries}: {self.type}: {self.message}"

    def __repr__(self) -> str:
        return f"TaskFailed({str(self)!r})"  # Celery logs it beside the traceback


class StepCancelled(StepError):
    """A started step was cancelled before it was over."""

    def __init__(self, task: str, run_id: str, reason: str = "") -> None:
        super().__init__(task, run_id, reason)
        self.task = task
        self.run_id = run_id
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.task} ({self.run_id}) was cancelled" + (f": {self.reason}" if self.reason else ".")


class StepTimeout(StepError):
    """An attempt of a started step took longer than its ``timeout``. Policies may retry on it."""

    def __init__(self, task: str, seconds: float) -> None:
        super().__init__(task, seconds)
        self.task = task
        self.seconds = seconds

    def __str__(self) -> str:
        return f"{self.task} took longer than its timeout of {self.seconds:g} s."


class OutcomeUnknown(StepError):
    """An at-most-once task was started and its worker died: whether it took effect is unknown."""

    def __init__(self, task: str, idempotency_key: str) -> None:
        super().__init__(task, idempotency_key)
        self.task = task
        self.idempotency_key = idempotency_key

    def __str__(self) -> str:
        return (
            f"{self.task} was started and interrupted; it is not run again. Find out what became of "
            f"idempotency key {self.idempotency_key!r} and go on accordingly."
        )


class JournalError(AikiError):
    """About the journal's database."""


class SchemaMissing(JournalError):
    """The journal's tables are not in the database."""


class SchemaOutdated(JournalError):
    """The journal's tables are of another version than this package."""


class JournalUnavailable(JournalError):
    """The journal's database could not be reached for too long."""


class Fatal(AikiError):
    """Raised by a task: this error is final, whatever the retry policy says."""


class RetryAfter(AikiError):
    """Raised by a task: the attempt failed, and the next one is due after ``seconds``.

    The attempt counts, and the policy still decides whether there is a next one.
    """

    def __init__(self, seconds: float, message: str = "") -> None:
        super().__init__(seconds, message)
        self.seconds = seconds
        self.message = message

    def __str__(self) -> str:
        return self.message or f"retry after {self.seconds:g} s"


class RunSuspended(BaseException):
    """Unwinds a workflow whose run has been settled in the journal as waiting.

    You see this because code caught ``BaseException`` (or used a bare ``except:``) around a journaled call. It is no
    error: the worker is being freed, and the run goes on later, in this process or another. Let it pass. ``finally:``
    blocks run; a journaled call inside them raises this again, and nothing this pass does is recorded any more.
    """


class ClaimLost(BaseException):
    """Unwinds a workflow whose run was taken over by another worker.

    This worker was taken for dead, or its journal could not be reached for too long. Nothing this pass does is
    recorded any more. Let it pass.
    """
