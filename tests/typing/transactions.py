"""What is known of transactions: what may be joined, and what a transactional task is given."""

from __future__ import annotations

from sqlalchemy import Connection, Engine
from sqlalchemy.orm import Session, scoped_session
from typing_extensions import assert_type

from aiki_celery import StepFuture, WorkflowHandle, WorkflowRun, current_step, event, task
from tests.typing.definitions import Receipt, order

cleared = event("cleared", int)


@task(transactional=True)
def book(name: str) -> int:
    """What a body is given."""
    assert_type(current_step().connection, Connection)
    session: Session = current_step().session
    assert_type(session.connection(), Connection)
    return 1


def joined(session: Session, scoped: scoped_session[Session], connection: Connection, engine: Engine) -> None:
    """A session of either kind, or a connection; an engine has no transaction."""
    assert_type(order.options(session=session).enqueue("o"), WorkflowHandle[Receipt])
    order.options(session=scoped).enqueue("o")
    order.options(session=connection).enqueue_many([("o",)])
    order.options(session=engine)  # type: ignore[arg-type]
    handle = order.handle("id")
    assert_type(handle.send(cleared, 1, session=session), bool)
    assert_type(handle.cancel("why", session=connection), bool)


def steps(run: WorkflowRun) -> None:
    """A transactional task is a task."""
    assert_type(book.run(run, "a"), int)
    assert_type(book.start(run, "a"), StepFuture[int])
