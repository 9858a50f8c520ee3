"""The demonstration of trips that are called off does what it says."""

from __future__ import annotations

from tests.examples.test_fan_out import played


def test_what_was_booked_is_given_back_once() -> None:
    """Last first; after a kill too, and by nobody who has left."""
    lines = played("cancelled_trip")
    back = "book hotel, book flight, book car, give back car, give back flight, give back hotel"
    assert [
        "cancelled: the weather",
        "cancelled: its deadline has passed",
        "cid has left early",
        "cancelled: a strike",
        "",
        f"ann: {back}",
        f"bob: {back}",
        "cid: book hotel, book flight, book car",
        f"dot: {back}",
    ] == lines
