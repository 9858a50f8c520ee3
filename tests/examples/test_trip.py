"""The demonstration of a saga does what it says."""

from __future__ import annotations

from tests.examples.test_fan_out import played


def test_trip_is_cancelled_once_and_booked_anew() -> None:
    """By two workers, of which the first is killed while it cancels."""
    assert [
        "killed the worker with kill -9 while it cancelled the flight",
        "no trip: SoldOut: car",
        "  insurance of ann #1 booked",
        "  hotel #1 booked",
        "  flight #1 booked",
        "  no car is left",
        "  flight #1 cancelled",
        "  hotel #1 cancelled",
        "there is a car again, and the run is retried",
        "  hotel #2 booked",
        "  flight #2 booked",
        "  car #1 booked",
        "the trip: insurance of ann #1, hotel #2, flight #2, car #1",
        "Each booking of the first try was cancelled once.",
    ] == played("trip")
