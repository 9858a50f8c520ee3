"""How far a run has come, as its code says."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pydantic_core import from_json, to_json

from aiki_celery.model.clock import to_datetime
from aiki_celery.model.storable_text import storable


@dataclass(frozen=True, slots=True)
class Progress:
    """What ``run.progress(...)`` last said.

    Attributes:
        done: How much is done, in units of the workflow's own.
        total: How much there is to do; None if that is not known.
        message: What is going on, in words.
        at: When it was said.
    """

    done: float
    total: float | None
    message: str
    at: datetime

    @property
    def fraction(self) -> float | None:
        """How much of the total is done, from 0 to 1; None without a total."""
        if self.total is None:
            return None
        return min(1.0, self.done / self.total) if self.total else 1.0

    def __str__(self) -> str:
        share = "" if self.fraction is None else f" of {self.total:g} ({self.fraction:.0%})"
        return f"{self.done:g}{share}" + (f"  {self.message}" if self.message else "")


def write_progress(done: float, total: float | None, message: str, at: int) -> str:
    """Write progress as JSON text; ``at`` is an instant in microseconds."""
    return to_json({"done": done, "total": total, "message": storable(message), "at": at}).decode()


def read_progress(text: str | None) -> Progress | None:
    """Read what :func:`write_progress` has written; None where nothing is."""
    if text is None:
        return None
    facts = from_json(text)
    return Progress(facts["done"], facts["total"], facts["message"], to_datetime(facts["at"]))
