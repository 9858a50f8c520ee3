"""A bank whose bookings happen exactly once."""

import os
import time

from celery import Celery
from sqlalchemy import create_engine, update
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from aiki_celery import Aiki, WorkflowHandle, WorkflowRun, current_step, task, workflow

URL = os.environ.get("BANK_JOURNAL", "sqlite:///bank.sqlite3")

app = Celery("bank")
aiki = Aiki(app, journal=URL)
engine = create_engine(URL)


class Base(DeclarativeBase):
    pass


class Account(Base):
    __tablename__ = "accounts"
    name: Mapped[str] = mapped_column(primary_key=True)
    balance: Mapped[int]


class Order(Base):
    """A customer's order to transfer money."""

    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    source: Mapped[str]
    target: Mapped[str]
    amount: Mapped[int]


class Booking(Base):
    """A line of the books. Its key does not keep it from being written twice: the step does."""

    __tablename__ = "bookings"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    order_id: Mapped[int]


class NoFunds(Exception):
    """There is too little on the account."""


@task(name="book", raises=[NoFunds], transactional=True)
def book(order_id: int, source: str, target: str, amount: int) -> None:
    """Moves the money and writes a line, in one transaction with the record of this step."""
    session = current_step().session
    # In the order of their names: two bookings that meet wait for one another instead of in a ring.
    for name, change in sorted([(source, -amount), (target, amount)]):
        account = update(Account).where(Account.name == name)
        session.execute(account.values(balance=Account.balance + change))
    if session.get_one(Account, source).balance < 0:
        raise NoFunds(source)
    session.add(Booking(order_id=order_id))
    session.flush()
    if delay := os.environ.get("BANK_DELAY"):
        time.sleep(float(delay))


@workflow(name="transfer", version="1.0.0")
def transfer(run: WorkflowRun, order_id: int, source: str, target: str, amount: int) -> str:
    try:
        book.run(run, order_id, source, target, amount)
    except NoFunds as error:
        return f"order {order_id}: too little on the account of {error}"
    return f"order {order_id}: {amount} from {source} to {target}"


def place(source: str, target: str, amount: int, *, changes_mind: bool = False) -> WorkflowHandle[str] | None:
    """Writes an order and starts its run; neither is there if the customer takes it back."""
    with Session(engine) as session:
        order = Order(source=source, target=target, amount=amount)
        session.add(order)
        session.flush()
        handle = transfer.options(session=session).enqueue(order.id, source, target, amount)
        if changes_mind:
            session.rollback()
            return None
        session.commit()
        return handle


def open_bank(balances: dict[str, int]) -> None:
    """Makes the tables of the journal and of the bank, and the accounts."""
    aiki.upgrade_journal()
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add_all([Account(name=name, balance=balance) for name, balance in balances.items()])
        session.commit()
