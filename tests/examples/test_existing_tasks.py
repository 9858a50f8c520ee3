"""The demonstration of existing Celery tasks does what it says."""

from __future__ import annotations

from tests.examples.test_fan_out import played


def test_each_reader_gets_the_newsletter_once() -> None:
    """Although the worker is killed while it sends, and a task retries by itself."""
    lines = played("newsletter")
    assert "Each reader has one message." == lines[-1]
    assert "carol@example.com: sent in try 2" in lines
    assert any("refused carol" in line for line in lines)
