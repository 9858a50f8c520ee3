"""The demonstration of transactions does what it says."""

from __future__ import annotations

from tests.examples.test_fan_out import played


def test_each_order_is_booked_once_and_no_money_is_lost() -> None:
    """Although the worker is killed in the middle of a booking, and an order is taken back."""
    lines = played("transfer")
    assert "order 5: too little on the account of bob" in lines
    assert "5 orders, 4 bookings: [1, 2, 3, 4]" in lines
    assert "Balances: {'ann': 550, 'bob': 600, 'cem': 350}, together 1500." == lines[-1]
