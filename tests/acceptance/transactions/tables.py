"""The application's own tables, in the journal's database."""

from __future__ import annotations

from sqlalchemy import Engine, Integer, String, create_engine, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column


class Base(DeclarativeBase):
    """The application's tables."""


class Order(Base):
    """An order."""

    __tablename__ = "shop_orders"
    id: Mapped[str] = mapped_column(String(50), primary_key=True)


class Entry(Base):
    """A line of the books: one for each time that money was moved."""

    __tablename__ = "shop_entries"
    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    transfer: Mapped[str] = mapped_column(String(50))


def make_tables(url: str) -> Engine:
    """The tables, and an engine of the application's own."""
    engine = create_engine(url)
    Base.metadata.create_all(engine)
    return engine


def orders(engine: Engine) -> set[str]:
    """The orders there are."""
    with Session(engine) as session:
        return set(session.scalars(select(Order.id)))


def entries(engine: Engine) -> dict[str, int]:
    """How often each transfer was entered."""
    with Session(engine) as session:
        rows = session.execute(select(Entry.transfer, func.count()).group_by(Entry.transfer))
        return dict(rows.tuples().all())
