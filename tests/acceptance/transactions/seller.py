"""A process that sells: writes an order and has it shipped; it may die anywhere. ``seller HOW ORDER POINT``."""

from __future__ import annotations

import os
import sys

from sqlalchemy import event
from sqlalchemy.orm import Session

from aiki_celery.model.events import RunEnqueued, RunPublished
from tests.acceptance.transactions.app import aiki, app
from tests.acceptance.transactions.definitions import ship_order
from tests.acceptance.transactions.tables import Order, make_tables

#: Exit code of a seller that died where it was told to.
DIED = 77


def sell(how: str, order_id: str, point: str) -> None:
    """Sells one thing.

    Args:
        how: ``inside`` sends a Celery task within the transaction, ``after`` sends it after the commit, and ``joined``
            starts a run in the transaction.
        order_id: What is sold.
        point: Where the process dies, or ``rolls back``, or ``nowhere``.
    """
    engine = make_tables(os.environ["AIKI_JOURNAL"])
    aiki.on(RunEnqueued, lambda _: die_if(point == "after the commit"))
    aiki.on(RunPublished, lambda _: die_if(point == "after the message"))
    if point == "at the commit":
        event.listen(engine, "commit", lambda _: die_if(True))
    with Session(engine) as session:
        session.add(Order(id=order_id))
        session.flush()
        if how == "inside":
            app.send_task("ship-plainly", (order_id,))
        elif how == "joined":
            ship_order.options(session=session).enqueue(order_id)
        die_if(point == "before the commit")
        if point == "rolls back":
            session.rollback()
            return
        session.commit()
    if how == "after":
        die_if(point == "after the commit")
        app.send_task("ship-plainly", (order_id,))


def die_if(here: bool) -> None:
    """Ends the process at once."""
    if here:
        os._exit(DIED)


if __name__ == "__main__":
    sell(*sys.argv[1:])
