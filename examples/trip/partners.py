"""Hotels, airlines and car rentals, each with a book of its own; nothing here is of aiki_celery."""

import os
import time
from pathlib import Path


class SoldOut(Exception):
    """There is nothing left."""


def book(what: str, key: str) -> str:
    """Books, once for each key: whoever asks again gets the same booking."""
    if what == "car" and not (_folder() / "cars").exists():
        _note("no car is left")
        raise SoldOut("car")
    known = [line for line in notes() if line.endswith(f", key {key}")]
    if known:
        return known[0].partition(" booked")[0]
    booking = f"{what} #{sum(line.startswith(f'{what} #') and ' booked' in line for line in notes()) + 1}"
    _note(f"{booking} booked, key {key}")
    return booking


def cancel(booking: str) -> None:
    """Takes its time; a booking that is cancelled already stays so."""
    if f"{booking} cancelled" not in notes():
        _note(f"{booking} cancelled")
    time.sleep(0.3)


def notes() -> list[str]:
    """All that they have written down."""
    book_of_all = _folder() / "partners.log"
    return book_of_all.read_text().splitlines() if book_of_all.exists() else []


def _note(line: str) -> None:
    with (_folder() / "partners.log").open("a") as file:
        print(line, file=file)


def _folder() -> Path:
    return Path(os.environ.get("TRIP_PARTNERS", "."))
