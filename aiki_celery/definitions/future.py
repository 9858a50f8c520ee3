"""What a started step or child gives back: its result, later."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from aiki_celery.definitions.current import Run
from aiki_celery.model.records import StepRecord

R = TypeVar("R", covariant=True)


class StepFuture(Generic[R]):
    """The result of something that was started, as far as it is known.

    Belongs to the run that started it, and means nothing outside of its code.

    Args:
        run: The run.
        definition: What was started.
        record: Its start, as recorded, with its outcome once that is known.
        idempotency_key: The key of the step, the same for every attempt.
    """

    __slots__ = ("definition", "idempotency_key", "record", "run")

    def __init__(self, run: Run, definition: Any, record: StepRecord, idempotency_key: str) -> None:
        self.run = run
        self.definition = definition
        self.record = record
        self.idempotency_key = idempotency_key

    @property
    def name(self) -> str:
        """Name of what was started."""
        return self.record.name

    @property
    def id(self) -> str | None:
        """Id of the run it was started as, which is also the id of its Celery task."""
        return self.record.child_id

    def result(self) -> R:
        """Wait until it is over and give its result. Waiting frees the worker.

        Raises:
            TaskFailed: The task gave up with an error that is not in ``raises=``; a declared one is raised as itself.
            StepCancelled: It was cancelled before it was over.
            OutcomeUnknown: The task is at-most-once and was interrupted.
        """
        result: R = self.run.result_of(self)
        return result

    def __repr__(self) -> str:
        return f"<StepFuture {self.record.name} #{self.record.seq} {self.record.status}>"


class EventFuture(StepFuture[R]):
    """An event that a run expects; what ``run.expect(event)`` gives. ``gather`` and ``first`` take it too."""

    __slots__ = ()

    def result(self) -> R:
        """Wait until it has come and give what was sent. Waiting frees the worker.

        Raises:
            EventTimeout: It did not come within the timeout.
        """
        return super().result()

    def __repr__(self) -> str:
        return f"<EventFuture {self.record.name} #{self.record.seq} {self.record.status}>"
