"""The demonstration of schedules does what it says."""

from __future__ import annotations

from tests.examples.test_fan_out import played


def test_each_second_has_one_report_though_a_worker_is_killed() -> None:
    """And each night that is filled in, at half past two or, where that is not there, at three."""
    lines = played("nightly")
    assert any(line.endswith("reports, one for each second.") for line in lines), lines
    assert [
        "filled in: nightly report for 2026-03-28 02:30:00+01:00",
        "filled in: nightly report for 2026-03-29 03:00:00+02:00",
        "filled in: nightly report for 2026-03-30 02:30:00+02:00",
    ] == lines[-3:]
