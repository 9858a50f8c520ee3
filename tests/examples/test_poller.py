"""The poller that goes on for ever does what its README says."""

from __future__ import annotations

from tests.examples.test_fan_out import played


def test_each_order_is_booked_once_by_one_run() -> None:
    """In five generations, one of which is interrupted."""
    lines = played("poller")
    assert "23 orders in 5 generations" in lines
    assert "a process died: True" in lines[-2]
    assert "Each order was booked exactly once." == lines[-1]
