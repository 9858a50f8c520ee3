"""Instants as text."""

from __future__ import annotations

from aiki_celery.model.clock import MICROSECOND, to_datetime


def since(at: int, start: int) -> str:
    """Give the seconds between two instants."""
    return f"+{(at - start) / MICROSECOND:10.3f} s"


def moment(at: int) -> str:
    """Give an instant, to the second, in UTC."""
    return to_datetime(at).isoformat(sep=" ", timespec="seconds").replace("+00:00", "Z")
