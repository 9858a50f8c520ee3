"""The demonstration of async code does what it says."""

from __future__ import annotations

import re

from tests.examples.test_fan_out import played


def test_stations_are_asked_side_by_side_over_kept_connections() -> None:
    """Each once; by one process, over fewer connections than readings."""
    lines = played("weather")
    assert ["coast: 8 to 17 degrees", "hills: 8 to 17 degrees"] == lines[:2]
    told = re.fullmatch(
        r"40 readings of 0\.3 s each, in [\d.]+ s by one process, over (\d+) connections", lines[-1]
    )
    assert told is not None, lines
    assert 1 <= int(told[1]) <= 20
