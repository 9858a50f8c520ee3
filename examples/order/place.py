"""Places an order and waits for its receipt."""

from decimal import Decimal

from examples.order.shop import Order, process_order


def main() -> None:
    order = Order(id="A-1042", item="teapot", amount=Decimal("39.90"))
    handle = process_order.options(reference_id=f"order-{order.id}").enqueue(order)
    print(f"run {handle.id} is {handle.status}; waiting for a worker")
    print(handle.get(timeout=120))


if __name__ == "__main__":
    main()
