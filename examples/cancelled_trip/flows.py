"""Trips that can be called off."""

import json
import os
import time
from pathlib import Path

from celery import Celery

from aiki_celery import Aiki, RunCancelled, WorkflowRun, task, workflow

app = Celery("trips")
aiki = Aiki(app, journal=os.environ.get("TRIPS_JOURNAL", "sqlite:///trips.sqlite3"))

#: What the hotels and airlines were told, one line each.
LEDGER = Path(os.environ.get("TRIPS_LEDGER", "ledger.jsonl"))


def tell(**facts: object) -> None:
    with LEDGER.open("a") as ledger:
        ledger.write(json.dumps({**facts, "pid": os.getpid()}) + "\n")


@task(name="trip-book")
def book(traveller: str, what: str, seconds: float = 0.0) -> str:
    tell(traveller=traveller, asked="book", what=what)
    time.sleep(seconds)
    tell(traveller=traveller, did="book", what=what)
    return what


@task(name="trip-give-back")
def give_back(traveller: str, what: str, seconds: float = 0.0) -> None:
    tell(traveller=traveller, asked="give back", what=what)
    time.sleep(seconds)
    tell(traveller=traveller, did="give back", what=what)


@workflow(name="trip", version="1.0.0")
def trip(run: WorkflowRun, traveller: str, slowly: float = 0.0) -> str:
    """Books what is needed, and waits for the day; called off, gives back what it has, the last thing first."""
    booked: list[str] = []
    try:
        for what in ("hotel", "flight", "car"):
            booked.append(book.run(run, traveller, what, slowly if what == "flight" else 0.0))
        is_early = run.sleep(30 * 86_400.0, name="until the day of departure")
    except RunCancelled:
        for what in reversed(booked):
            give_back.run(run, traveller, what, slowly if what == "flight" else 0.0)
        raise
    return f"{traveller} has left" + (" early" if is_early else "")
