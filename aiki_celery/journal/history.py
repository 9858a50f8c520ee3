"""A run's history: one line for each state it entered, appended by the very statement that moves the run.

A line is ``status TAB instant TAB reason NEWLINE``. Keeping it in the run's own row costs no second statement and
makes a move without its line impossible.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import String, cast, literal
from sqlalchemy.sql.elements import ColumnElement

from aiki_celery.journal.dialect import db_now
from aiki_celery.model.records import Transition
from aiki_celery.model.status import RunStatus
from aiki_celery.model.storable_text import storable

#: A history longer than this many characters is moved to a page of its own when the run next waits, so that a run which
#: waits ten thousand times does not rewrite all of it each time.
PAGE = 8_192

#: Longest reason kept in a line.
MAX_REASON = 500


def first_line(status: RunStatus, reason: str | ColumnElement[str]) -> ColumnElement[str]:
    """Give the SQL of one line."""
    why = literal(clean(reason), String) if isinstance(reason, str) else reason
    return (
        literal(f"{status.value}\t", String)
        + cast(db_now(), String(20))
        + literal("\t", String)
        + why
        + literal("\n", String)
    )


def appended(history: Any, status: RunStatus, reason: str | ColumnElement[str]) -> ColumnElement[str]:
    """Give the SQL of a history with one more line."""
    result: ColumnElement[str] = history + first_line(status, reason)
    return result


def clean(reason: str) -> str:
    """Give a reason that fits on one line, whatever an error's message holds."""
    return storable(" ".join(reason.split())[:MAX_REASON])[:MAX_REASON]


def parse(history: str) -> list[Transition]:
    """Read a history's lines."""
    transitions = []
    for line in history.splitlines():
        status, at, reason = line.split("\t", 2)
        transitions.append(Transition(RunStatus(status), int(at), reason))
    return transitions
