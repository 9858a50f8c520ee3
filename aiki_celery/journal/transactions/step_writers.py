"""What a transactional step writes last, in its body's transaction: its record, or the end of its run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from sqlalchemy import Connection

from aiki_celery.errors import ClaimLost
from aiki_celery.journal.asked import ControlAsked, refused
from aiki_celery.journal.family.endings import Endings
from aiki_celery.journal.pass_statements import PassStatements, fence_of, refusal
from aiki_celery.model.records import Claim, Envelope, StepRecord
from aiki_celery.model.status import RunStatus

V = TypeVar("V")


@dataclass
class Made(Generic[V]):
    """What one try of a body has made.

    Attributes:
        value: For the caller.
        step: Of an inline step: its record.
        output: Of a started step: its result as JSON text.
        control: What the run was asked for meanwhile, which the pass has to heed now.
        woken: What the messages of those runs are made from that go on because of it.
    """

    value: V
    step: StepRecord | None = None
    output: str | None = None
    control: str | None = None
    woken: list[Envelope] = field(default_factory=list)


class Writer(Protocol):
    """Writes what a try has made, in its transaction, and knows it again.

    Attributes:
        refusal: What is said when somebody else has the run.
    """

    refusal: str

    def write(self, connection: Connection, made: Made[Any]) -> None:
        """Write it, fenced.

        Raises:
            ClaimLost: The run has been taken over.
            IntegrityError: Something is there already.
        """

    def find(self, tries: list[Made[V]]) -> Made[V] | None:
        """Give the one of these that was committed, and its answer lost; None if none was.

        Raises:
            ClaimLost: Somebody else's is there.
        """


class RecordWriter:
    """The record of an inline step."""

    def __init__(self, statements: PassStatements, claim: Claim) -> None:
        self._s = statements
        self._claim = claim
        self.refusal = refusal(claim)
        self._fence = fence_of(claim)

    def write(self, connection: Connection, made: Made[Any]) -> None:
        """Write the record; see :meth:`Writer.write`."""
        step = made.step
        assert step is not None
        row = step._asdict() | {
            "run_id": self._claim.run_id,
            "kind": step.kind.value,
            "status": step.status.value,
        }
        if self._s.append.run(connection, **row, **self._fence).rowcount == 1:
            return
        why = refused(self._claim, self._s.state.run(connection, run=self._claim.run_id).first())
        if not isinstance(why, ControlAsked):
            raise why
        # The step has done its work: that is kept, and the pass heeds the request after it.
        if self._s.keep.run(connection, **row, **self._fence).rowcount != 1:
            raise ClaimLost(self.refusal)
        made.control = why.control

    def find(self, tries: list[Made[V]]) -> Made[V] | None:
        """See :meth:`Writer.find`."""
        if not tries or tries[0].step is None:
            return None
        seq = tries[0].step.seq
        with self._s.connections.autocommit() as connection:
            found = self._s.written.run(connection, run_id=self._claim.run_id, seq=seq).first()
        if found is None:
            return None
        for made in tries:
            step = made.step
            if step is not None and (
                (step.epoch, step.address, step.finished_at, step.kind.value)
                == (found.epoch, found.address, found.finished_at, found.kind)
            ):
                return made
        raise ClaimLost(self.refusal)


class EndWriter:
    """The end of a started step's run."""

    def __init__(self, statements: PassStatements, endings: Endings, claim: Claim) -> None:
        self._s = statements
        self._endings = endings
        self._claim = claim
        self.refusal = refusal(claim)

    def write(self, connection: Connection, made: Made[Any]) -> None:
        """Record the end of the run, and count it off at its parent; see :meth:`Writer.write`."""
        parameters = {"result": made.output, "failure": None, "why": "completed", "note": None}
        made.woken = self._endings.end_on(connection, self._claim, RunStatus.COMPLETED, parameters)

    def find(self, tries: list[Made[V]]) -> Made[V] | None:
        """See :meth:`Writer.find`."""
        if not tries:
            return None
        with self._s.connections.autocommit() as connection:
            state = self._s.ended.run(connection, run=self._claim.run_id).first()
        if state is None or state.epoch != self._claim.epoch:
            raise ClaimLost(self.refusal)
        if state.status != RunStatus.COMPLETED.value:
            return None
        return next((made for made in tries if made.output == state.output), tries[0])
