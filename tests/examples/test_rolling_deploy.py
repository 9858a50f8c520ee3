"""The deploy while an order is under way does what its README says."""

from __future__ import annotations

from tests.examples.test_fan_out import played


def test_each_order_is_done_by_the_code_it_began_with() -> None:
    """The one under way goes on without the new check; the new one is of the new version."""
    lines = played("rolling_deploy")
    assert "fulfil@2.0.0: order-2 checked, order-2 paid, order-2 shipped" in lines
    assert "fulfil@1.0.0: order-1 paid, order-1 shipped" in lines
    assert "Each order was done by the code it began with." == lines[-1]
