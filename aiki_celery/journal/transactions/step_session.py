"""The ORM session of a transactional step: it writes, and does not end the transaction."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.orm import Session, SessionTransaction

from aiki_celery.errors import RunError


class StepSession(Session):
    """A session within a step's transaction.

    Args:
        connection: The step's connection.
        refusal: What is said to who would end the transaction.
    """

    def __init__(self, connection: Connection, refusal: str) -> None:
        super().__init__(connection, join_transaction_mode="rollback_only")
        self._refusal = refusal

    def begin(self, nested: bool = False) -> SessionTransaction:
        """Set a savepoint; the transaction itself has begun.

        Raises:
            RunError: Not ``nested``.
        """
        if not nested:
            raise RunError(self._refusal)
        return super().begin(nested=True)

    def commit(self) -> None:
        """Refuse.

        Raises:
            RunError: Always.
        """
        raise RunError(self._refusal)

    def rollback(self) -> None:
        """Refuse.

        Raises:
            RunError: Always.
        """
        raise RunError(self._refusal)

    def close(self) -> None:
        """Write what is held back, and forget the objects; as at the end of ``with current_step().session``."""
        self.flush()
        super().close()

    def end(self) -> None:
        """Forget what was not written."""
        super().close()

    def __exit__(self, kind: type[BaseException] | None, error: Any, trace: TracebackType | None) -> None:
        if kind is None:
            self.close()
        else:
            self.end()
