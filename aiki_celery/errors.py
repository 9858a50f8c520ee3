"""Every error a user can meet, and the control-flow exceptions beside them.

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
    │   ├── PayloadTooLarge         a value exceeds ``aiki_max_payload``
    │   └── TokenRejected           a token of ``run.callback(...)`` cannot be exchanged
    │       ├── TokenInvalid        it is not one that we made, or one for another event
    │       ├── TokenExpired        its time is over
    │       └── TokenUsed           it was exchanged before
    ├── RunError                    about one run
    │   ├── RunNotFound             the journal has no such run
    │   ├── RunFinished             the run is over, so nothing can be done to it
    │   ├── WrongState              the run is in a state in which this cannot be done
    │   ├── ReferenceConflict       a reference id is taken by a run with other input
    │   ├── NonDeterminismError     the code no longer fits the record
    │   ├── CompensationFailed      a saga could not undo all that it was to undo
    │   ├── StepLimitExceeded       the run has more steps than ``aiki_max_steps``
    │   ├── ChildLimitExceeded      the run has started more than ``aiki_max_children``
    │   ├── EventLimitExceeded      the run's inbox holds as many events as ``aiki_max_events``
    │   ├── WrongThread             a journaled call from a thread that is not the run's
    │   ├── WorkflowFailed          the run ended as failed
    │   └── WorkflowCancelled       the run ended as cancelled
    ├── StepError                   what a step raises inside the workflow
    │   ├── TaskFailed              the task gave up
    │   ├── StepCancelled           it was cancelled before it was over
    │   ├── StepTimeout             an attempt took longer than its ``timeout``
    │   ├── EventTimeout            no event came within the ``timeout`` of the wait
    │   └── OutcomeUnknown          an at-most-once task was interrupted
    ├── ScheduleError               about one schedule
    │   ├── ScheduleNotFound        the journal has no schedule of this name
    │   └── ScheduleConflict        a schedule of this name is there already, or is the code's own
    ├── JournalError                about the journal's database
    │   ├── SchemaMissing           the tables are not there
    │   ├── SchemaOutdated          the tables are of another version
    │   └── JournalUnavailable      the database could not be reached for too long
    ├── Fatal                       raised by a task: do not retry
    └── RetryAfter                  raised by a task: retry after so many seconds

    BaseException
    ├── RunSuspended                unwinds a workflow whose run is waiting
    ├── RunCancelled                raised once in a workflow whose run is being cancelled, so that it can clean up
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


class TokenRejected(ValueRejected):
    """A token of ``run.callback(...)`` cannot be exchanged."""


class TokenInvalid(TokenRejected):
    """It was not made by this application, was changed on the way, or is for another event."""


class TokenExpired(TokenRejected):
    """Its time is over."""


class TokenUsed(TokenRejected):
    """It was exchanged before: the run has its event, and nothing more is to be done.

    Args:
        event: Name of the event.
        run_id: The run.
    """

    def __init__(self, event: str, run_id: str) -> None:
        super().__init__(event, run_id)
        self.event = event
        self.run_id = run_id

    def __str__(self) -> str:
        return f"{self.event}: the token was exchanged before; run {self.run_id} has its event."


class RunError(AikiError):
    """About one run."""


class RunNotFound(RunError):
    """The journal has no run with this id."""

    def __init__(self, run_id: str) -> None:
        super().__init__(run_id)
        self.run_id = run_id

    def __str__(self) -> str:
        return f"The journal has no run {self.run_id!r}."


class RunFinished(RunError):
    """The run is over: nothing can be sent to it, and it can not be cancelled, paused or woken.

    Args:
        run_id: The run.
        status: How it ended, as in ``completed``.
    """

    def __init__(self, run_id: str, status: str) -> None:
        super().__init__(run_id, status)
        self.run_id = run_id
        self.status = status

    def __str__(self) -> str:
        return f"Run {self.run_id} is over: it is {self.status}."


class WrongState(RunError):
    """The run is not over, but in a state in which this cannot be done.

    Args:
        run_id: The run.
        status: Its state, as in ``sleeping``.
        detail: What was asked of it, and the remedy.
    """

    def __init__(self, run_id: str, status: str, detail: str) -> None:
        super().__init__(run_id, status, detail)
        self.run_id = run_id
        self.status = status
        self.detail = detail

    def __str__(self) -> str:
        return f"Run {self.run_id} is {self.status}: {self.detail}"


class ReferenceConflict(RunError):
    """A reference id is already taken by a run of the same workflow with other input, or is not free for a fork.

    Args:
        workflow: Name of the workflow.
        reference_id: The reference id.
        run_id: The run that has it.
        is_fork: Whether it was to be that of a fork, which has a reference id of its own or none.
    """

    def __init__(self, workflow: str, reference_id: str, run_id: str, is_fork: bool = False) -> None:
        super().__init__(workflow, reference_id, run_id, *([True] if is_fork else []))
        self.workflow = workflow
        self.reference_id = reference_id
        self.run_id = run_id
        self.is_fork = is_fork

    def __str__(self) -> str:
        taken = f"{self.workflow}: reference id {self.reference_id!r} belongs to run {self.run_id}"
        if self.is_fork:
            return f"{taken}. Give the fork another one, or none."
        return (
            f"{taken} with other input. "
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


class CompensationFailed(RunError):
    """Compensations of a saga gave up. The others have run all the same; the error that they followed is ``__cause__``.

    The workflow's own retry policy leaves such a run alone. ``handle.retry()`` runs again what is named here, and
    nothing else that is recorded.

    Args:
        workflow: Name of the workflow.
        run_id: Id of the run.
        failures: Name and error of each compensation that gave up, in the order in which they ran.
        after: What they were to follow: the error, or the cancel.
    """

    def __init__(self, workflow: str, run_id: str, failures: Sequence[tuple[str, str]], after: str) -> None:
        failures = tuple((name, error) for name, error in failures)
        super().__init__(workflow, run_id, failures, after)
        self.workflow = workflow
        self.run_id = run_id
        self.failures = failures
        self.after = after

    def __str__(self) -> str:
        told = "; ".join(f"{name}: {error}" for name, error in self.failures)
        return f"{len(self.failures)} compensation(s) failed: {told}. They were to follow {self.after}"


class StepLimitExceeded(RunError):
    """The run has recorded as many steps as ``aiki_max_steps`` allows."""

    def __init__(self, run_id: str, limit: int) -> None:
        super().__init__(run_id, limit)
        self.run_id = run_id
        self.limit = limit

    def __str__(self) -> str:
        return (
            f"Run {self.run_id} has reached aiki_max_steps ({self.limit:,}). Split the work into several runs, or let "
            "the run go on as new from time to time with run.continue_as_new(...)."
        )


class ChildLimitExceeded(RunError):
    """The run would start more steps and children than ``aiki_max_children`` allows; none of these was started.

    Args:
        run_id: The run.
        started: How many it has started.
        more: How many it was to start now.
        limit: The setting.
    """

    def __init__(self, run_id: str, started: int, more: int, limit: int) -> None:
        super().__init__(run_id, started, more, limit)
        self.run_id = run_id
        self.started = started
        self.more = more
        self.limit = limit

    def __str__(self) -> str:
        return (
            f"Run {self.run_id} has started {self.started:,} steps and children, and {self.more:,} more would exceed "
            f"aiki_max_children ({self.limit:,}); none of those was started. Start child workflows that share the "
            "work, let the run go on as new with run.continue_as_new(...), or raise the setting."
        )


class EventLimitExceeded(RunError):
    """The run's inbox holds as many events as ``aiki_max_events`` allows; what was sent was not taken."""

    def __init__(self, run_id: str, limit: int) -> None:
        super().__init__(run_id, limit)
        self.run_id = run_id
        self.limit = limit

    def __str__(self) -> str:
        return (
            f"Run {self.run_id} has received aiki_max_events ({self.limit:,}) events; this one was not taken. "
            "Send to several runs, or raise the setting."
        )


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


class EventTimeout(StepError):
    """No event came within the ``timeout`` of the wait for it: the same on every replay.

    Args:
        event: Name of the event.
        seconds: The timeout.
    """

    def __init__(self, event: str, seconds: float) -> None:
        super().__init__(event, seconds)
        self.event = event
        self.seconds = seconds

    def __str__(self) -> str:
        return f"No event {self.event!r} came within {self.seconds:g} s."


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


class ScheduleError(AikiError):
    """About one schedule."""


class ScheduleNotFound(ScheduleError):
    """The journal has no schedule of this name."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"The journal has no schedule {self.name!r}. One that code declares is there once a worker has started."


class ScheduleConflict(ScheduleError):
    """The name belongs to another schedule, or to one that only its code may change.

    Args:
        name: The schedule.
        detail: What is in the way, and the remedy.
    """

    def __init__(self, name: str, detail: str) -> None:
        super().__init__(name, detail)
        self.name = name
        self.detail = detail

    def __str__(self) -> str:
        return f"Schedule {self.name!r}: {self.detail}"


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


class RunCancelled(BaseException):
    """Raised once in a workflow whose run is being cancelled, by the journaled call it has come to.

    Clean up in ``finally:`` or ``except RunCancelled:``. Journaled calls there work as ever, and are gone on with if
    the worker dies. Whatever the function does then, the run ends as cancelled. ``except Exception`` does not see it.

    Args:
        reason: Why it was cancelled, or ``""``.
    """

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason or "the run was cancelled"


class ClaimLost(BaseException):
    """Unwinds a workflow whose run was taken over by another worker.

    This worker was taken for dead, or its journal could not be reached for too long. Nothing this pass does is
    recorded any more. Let it pass.
    """
