"""The transaction of a transactional step, as its body sees it: it writes, and we commit."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError

from aiki_celery.errors import RunError
from aiki_celery.journal.connections import Connections
from aiki_celery.journal.dialect import has_undone

if TYPE_CHECKING:
    from aiki_celery.journal.transactions.step_session import StepSession

#: What a body is told that would end its transaction.
NOT_YOURS = (
    "A transactional task does not commit or roll back: its transaction ends with the step, whose record commits with "
    "it. Use flush() to write, raise an exception to undo everything, or begin_nested() to be able to undo a part."
)


class StepTransaction:
    """A transaction that is open while a body runs.

    Args:
        connection: Its connection, with nothing begun.

    Attributes:
        connection: What the body writes on.
        is_ending: Whether it may be committed or rolled back: not as long as the body runs.
        broken: The first error of the database that nobody may pass over: it has undone what was written.
        misuse: Why nothing may be recorded: the body has ended the transaction, or tried to.
        failed_first: The first error of the database there was.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.is_ending = False
        self.broken: BaseException | None = None
        self.misuse: RunError | None = None
        self.failed_first: BaseException | None = None
        self._session: StepSession | None = None
        connection.begin()

    @property
    def session(self) -> StepSession:
        """An ORM session on the connection, the same one each time; closed with the transaction."""
        if self._session is None:
            # Here, because it takes five megabytes which a worker without it does not need.
            from aiki_celery.journal.transactions.step_session import StepSession  # noqa: PLC0415

            self._session = StepSession(self.connection, NOT_YOURS)
        return self._session

    def flush(self) -> None:
        """Write what the session still holds back."""
        if self._session is not None:
            self._session.flush()

    def commit(self) -> None:
        """Commit what the body wrote and what was recorded."""
        self.is_ending = True
        self.connection.commit()

    def close(self) -> None:
        """Roll back what was not committed, and end the session."""
        self.is_ending = True
        try:
            if self._session is not None:
                self._session.end()
            if not self.connection.closed and not self.connection.invalidated:
                self.connection.rollback()
        except DBAPIError:
            # It was lost; what was not committed is undone with it.
            self.connection.invalidate()


class StepTransactionGuard:
    """Watches the connections of transactional steps.

    Args:
        connections: The journal's database.
    """

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._open: weakref.WeakKeyDictionary[Connection, StepTransaction] = weakref.WeakKeyDictionary()
        #: An engine of its own, so that nobody else's connections are watched.
        self._engine: Engine = connections.engine.execution_options(aiki_step=True)
        event.listen(self._engine, "commit", self._refuse_commit)
        event.listen(self._engine, "rollback", self._note_rollback)
        event.listen(self._engine, "handle_error", self._note_error)

    def open(self) -> StepTransaction:
        """Begin a transaction; :meth:`close` ends it."""
        connection = self._connections.take(self._engine)
        try:
            transaction = StepTransaction(connection)
        except BaseException:
            self._connections.give_back(connection)
            raise
        self._open[connection] = transaction
        return transaction

    def close(self, transaction: StepTransaction) -> None:
        """Roll back what was not committed, and give the connection back."""
        try:
            transaction.close()
        finally:
            self._open.pop(transaction.connection, None)
            self._connections.give_back(transaction.connection)

    def _refuse_commit(self, connection: Connection) -> None:
        transaction = self._open.get(connection)
        if transaction is not None and not transaction.is_ending:
            transaction.misuse = RunError(NOT_YOURS)
            raise transaction.misuse

    def _note_rollback(self, connection: Connection) -> None:
        # Not refused at once: a flush that fails rolls back too, and its error is what the task should see.
        transaction = self._open.get(connection)
        if transaction is not None and not transaction.is_ending:
            transaction.misuse = RunError(NOT_YOURS)

    def _note_error(self, context: ExceptionContext) -> None:
        transaction = None if context.connection is None else self._open.get(context.connection)
        error: Any = context.sqlalchemy_exception
        if transaction is None or error is None:
            return
        transaction.failed_first = transaction.failed_first or error
        if transaction.broken is None and (context.is_disconnect or has_undone(error, context.connection)):
            transaction.broken = error
