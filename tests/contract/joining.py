"""An application with tables of its own beside the journal's, and a broker that only notes what is sent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from celery import Celery
from sqlalchemy import Column, Engine, Integer, MetaData, String, Table, create_engine, delete, event, select
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.orm import mapped_column as column

from aiki_celery import Aiki, Workflow, WorkflowHandle, WorkflowRun, workflow
from aiki_celery.engine.starting import Starter
from aiki_celery.journal.journal import Journal
from aiki_celery.model.records import Envelope
from tests.contract.rows import wipe


class Base(DeclarativeBase):
    """The application's tables."""


class Order(Base):
    """A row of business."""

    __tablename__ = "shop_orders"
    id = column(String(50), primary_key=True)


#: Rows that two transactions can meet at.
accounts = Table(
    "shop_accounts",
    MetaData(),
    Column("name", String(50), primary_key=True),
    Column("balance", Integer, nullable=False),
)


@workflow(name="ship-in-transaction")
def ship(run: WorkflowRun, order_id: str) -> str:
    """What is started here."""
    return f"{order_id} shipped"


class Noted:
    """A broker that notes the ids of the runs it was told of."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.is_down = False

    def publish(self, envelopes: Sequence[Envelope]) -> list[str]:
        """Takes every message, unless it is down."""
        ids = [envelope.run_id for envelope in envelopes]
        if self.is_down:
            return ids
        self.sent += ids
        return []

    def depth(self, queue: str | None) -> int:
        """No message waits."""
        return 0


class Shop:
    """An application on the journal's database.

    Args:
        url: SQLAlchemy URL.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.app = Celery("shop", broker="memory://", set_as_current=False)
        self.aiki = Aiki(self.app, journal=url)
        self.broker = Noted()
        binding = self.aiki.binding
        binding.dispatcher = self.broker  # type: ignore[assignment]
        binding.starter = Starter(binding.journal, self.broker, binding.settings, binding.hooks)
        self.journal: Journal = binding.journal
        self.journal.ensure_ready()
        self.engine = business_engine(url)
        Base.metadata.create_all(self.engine)
        accounts.metadata.create_all(self.engine)

    def session(self, **options: Any) -> Session:
        """A session of the application's."""
        return Session(self.engine, **options)

    def orders(self) -> set[str]:
        """The orders that are committed."""
        with self.session() as session:
            return set(session.scalars(select(Order.id)))

    def runs(self) -> set[str]:
        """The inputs' orders of the runs that are committed."""
        return {run.input.split('"')[-2] for run in self.journal.views.find(limit=1000)}

    def buy(self, session: Session, order_id: str, **options: Any) -> WorkflowHandle[str]:
        """Writes an order and starts its run, in the session's transaction."""
        session.add(Order(id=order_id))
        return self.on(session, **options).enqueue(order_id)

    def on(self, session: Any, **options: Any) -> Workflow[[str], str]:
        """The workflow, to be started in a transaction."""
        return ship.options(session=session, **options)

    def wipe(self) -> None:
        """Deletes everything."""
        wipe(self.journal)
        self.broker.sent.clear()
        self.broker.is_down = False
        with self.engine.begin() as connection:
            connection.execute(delete(Order))
            connection.execute(delete(accounts))

    def close(self) -> None:
        """Ends it."""
        Base.metadata.drop_all(self.engine)
        accounts.metadata.drop_all(self.engine)
        self.engine.dispose()
        self.aiki.close()
        self.app.close()


def business_engine(url: str, **options: Any) -> Engine:
    """An engine of the application's. On SQLite as SQLAlchemy's pages advise, for savepoints to work."""
    engine = create_engine(url, **options)
    if engine.dialect.name == "sqlite":

        @event.listens_for(engine, "connect")
        def on_connect(connection: Any, _: Any) -> None:
            connection.isolation_level = None

        @event.listens_for(engine, "begin")
        def on_begin(connection: Any) -> None:
            connection.exec_driver_sql("BEGIN")

    return engine


@contextmanager
def opened(url: str) -> Iterator[Shop]:
    """A shop, whose workflows are started with its own extension."""
    shop = Shop(url)
    try:
        with shop.aiki:
            yield shop
    finally:
        shop.close()
