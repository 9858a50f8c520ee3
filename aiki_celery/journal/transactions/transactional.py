"""Transactional steps: what the body wrote and the record of its outcome are committed together, or not at all.

Locks are taken in this order: the body's own rows, the parent of the run that ends, the run itself. So whoever writes
rows of business and to a run in one transaction should write to the run last.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy.exc import DBAPIError, IntegrityError, InvalidRequestError, SQLAlchemyError

from aiki_celery.errors import ClaimLost, RunError
from aiki_celery.journal.dialect import is_transient
from aiki_celery.journal.family.endings import Endings
from aiki_celery.journal.pass_statements import PassStatements
from aiki_celery.journal.transactions.step_transaction import StepTransaction, StepTransactionGuard
from aiki_celery.journal.transactions.step_writers import EndWriter, Made, RecordWriter, Writer
from aiki_celery.model.records import Claim

V = TypeVar("V")

logger = logging.getLogger("aiki_celery.journal")

#: PostgreSQL: a statement of the transaction has failed, and it takes no more.
_GIVEN_UP = "25P02"


class BodyFailed(Exception):
    """The attempt has failed, and what it wrote was undone.

    Args:
        error: What the body raised, or by what the database refused what it wrote.
    """

    def __init__(self, error: BaseException) -> None:
        super().__init__(error)
        self.error = error


class TransactionalSteps:
    """Runs bodies in transactions.

    Args:
        statements: The statements of passes.
        endings: Ends runs within their family.
    """

    def __init__(self, statements: PassStatements, endings: Endings) -> None:
        self._s = statements
        self._endings = endings
        self._guard = StepTransactionGuard(statements.connections)

    def record(self, claim: Claim, body: Callable[[StepTransaction], Made[V]]) -> Made[V]:
        """Run the body of an inline step, and commit its record with what it wrote.

        A body whose transaction the database has given up (a deadlock, a lost connection) is run again.

        Raises:
            BodyFailed: The body raised, or the database refused what it wrote.
            ClaimLost: The run has been taken over; what the body wrote was undone.
            JournalUnavailable: The database could not be reached for too long; it may have been committed.
        """
        return self._run(RecordWriter(self._s, claim), body)

    def end(self, claim: Claim, body: Callable[[StepTransaction], Made[V]]) -> Made[V]:
        """Run the body of a started step, and commit the end of its run with what it wrote; see :meth:`record`."""
        return self._run(EndWriter(self._s, self._endings, claim), body)

    def _run(self, writer: Writer, body: Callable[[StepTransaction], Made[V]]) -> Made[V]:
        tries: list[Made[V]] = []

        def work() -> Made[V]:
            return writer.find(tries) or self._try(writer, body, tries)

        return self._s.connections.retrying(work)

    def _try(
        self, writer: Writer, body: Callable[[StepTransaction], Made[V]], tries: list[Made[V]]
    ) -> Made[V]:
        transaction = self._guard.open()
        try:
            made = _done(transaction, body)
            tries.append(made)
            try:
                writer.write(transaction.connection, made)
            except (IntegrityError, ClaimLost) as refused:
                # Perhaps an earlier try was committed only now, long after its answer was lost.
                transaction.close()
                earlier = writer.find(tries[:-1])
                if earlier is None:
                    raise ClaimLost(writer.refusal) from refused
                return earlier
            transaction.commit()
            return made
        except SQLAlchemyError as error:
            if is_transient(error):
                logger.info("A transactional step is run again: %s", error)
                raise
            raise BodyFailed(_explained(transaction, error)) from error
        finally:
            self._guard.close(transaction)


def _done(transaction: StepTransaction, body: Callable[[StepTransaction], Made[V]]) -> Made[V]:
    """Run a body.

    Raises:
        BodyFailed: It raised, or has tried to end the transaction.
        DBAPIError: The database has undone what it wrote.
    """
    try:
        made = body(transaction)
        if transaction.misuse is not None:
            raise transaction.misuse
    except BaseException as error:
        if isinstance(error, InvalidRequestError) and transaction.misuse is not None:
            raise BodyFailed(transaction.misuse) from error  # it went on after that
        if transaction.broken is not None and isinstance(error, Exception):
            raise transaction.broken from error
        raise BodyFailed(error) from error
    if transaction.broken is not None:
        # The body has passed over it, and what it wrote before is gone.
        raise transaction.broken
    return made


def _explained(transaction: StepTransaction, error: SQLAlchemyError) -> Exception:
    """Give what the attempt has failed by: the error itself, or the earlier one that the body passed over."""
    first = transaction.failed_first
    if isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) == _GIVEN_UP and first:
        return RunError(
            f"The task passed over an error of the database ({first}), by which PostgreSQL gives up the whole "
            "transaction. Where it may happen, put the statement in a with connection.begin_nested()."
        )
    return error
