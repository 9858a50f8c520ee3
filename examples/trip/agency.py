"""The workflow: after each booking it says what undoes it."""

import os

from celery import Celery

from aiki_celery import Aiki, Retry, WorkflowRun, current_step, task, workflow
from examples.trip import partners

app = Celery("trip")
aiki = Aiki(app, journal=os.environ.get("TRIP_JOURNAL", "sqlite:///trip.sqlite3"))


@task(name="book", raises=[partners.SoldOut])
def book(what: str) -> str:
    return partners.book(what, key=current_step().idempotency_key)


@task(name="cancel", retry=Retry.exponential(max_attempts=5, base_delay=0.1))
def cancel(booking: str) -> None:
    partners.cancel(booking)


@workflow(name="book-trip", version="1.0.0")
def book_trip(run: WorkflowRun, traveller: str) -> list[str]:
    insurance = book.run(run, f"insurance of {traveller}")
    with run.saga() as saga:
        hotel = book.run(run, "hotel")
        saga.add(cancel, hotel)
        flight = book.run(run, "flight")
        saga.add(cancel, flight)
        car = book.run(run, "car")  # if there is none, the flight and the hotel are cancelled
    return [insurance, hotel, flight, car]
