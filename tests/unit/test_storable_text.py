"""Text from outside, in a form that every database can hold."""

from __future__ import annotations

import os

import pytest

from aiki_celery.journal.history import MAX_REASON, clean
from aiki_celery.model.storable_text import storable


@pytest.mark.parametrize(
    "text", ["", "plain", "two\nlines\tand more", "naïve 日本 🎉", "\x01\x7f\ufffe\u200b", "\\x00"]
)
def test_storable_keeps_what_every_database_holds(text: str) -> None:
    """Whatever it looks like."""
    assert text == storable(text)


def test_storable_shows_what_some_database_refuses() -> None:
    """Half a surrogate, as Python reads a file name that is no UTF-8, and NUL: by their numbers."""
    name = os.fsdecode(b"x\xe9.txt")
    assert r"no file x\udce9.txt" == storable(f"no file {name}")
    assert r"\ud83dbad \x00 byte" == storable("\ud83dbad \0 byte")


def test_storable_changes_nothing_twice() -> None:
    """What it gives is storable."""
    once = storable("\udcff\0")
    assert once == storable(once)


def test_clean_reason_is_storable_and_short() -> None:
    """What stands for a character may be longer than that."""
    assert (r"\udcff" * MAX_REASON)[:MAX_REASON] == clean("\udcff" * 10_000)
