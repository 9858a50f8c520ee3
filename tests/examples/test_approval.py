"""The demonstration of events and callbacks does what it says."""

from __future__ import annotations

from tests.examples.test_fan_out import played


def test_purchases_wait_for_the_boss() -> None:
    """A guessed link, one that is clicked twice, one that comes too late; each purchase ends as was decided."""
    assert [
        "guessed: 400 TokenInvalid",
        "laptop:  Thank you.",
        "again:   You have decided already.",
        "yacht:   Thank you.",
        "",
        "pencil ordered",
        "laptop ordered: ann is for it",
        "yacht not ordered: ann is against it",
        "chair not ordered: nobody has decided",
        "",
        "late:    410 Too late.",
    ] == played("approval")
