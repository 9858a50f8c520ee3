"""A shop whose orders share shipments."""

import os
import time

from celery import Celery
from pydantic import BaseModel

from aiki_celery import Aiki, WorkflowFailed, WorkflowRun, task, workflow

app = Celery("shop")
aiki = Aiki(app, journal=os.environ.get("SHOP_JOURNAL", "sqlite:///shop.sqlite3"))


class Order(BaseModel):
    id: str
    address: str
    day: str


class Tracking(BaseModel):
    number: str
    driver: str


@task(name="book-driver")
def book_driver(address: str, day: str) -> str:
    time.sleep(0.2)
    if address.startswith("Atlantis"):
        raise LookupError("nobody drives there")
    return f"driver-{len(address)}"


@task(name="print-label")
def print_label(address: str, day: str) -> str:
    time.sleep(0.2)
    return f"{day}/{address.partition(' ')[0].lower()}"


@task(name="tell-customer")
def tell_customer(order_id: str, text: str) -> str:
    return f"{order_id}: {text}"


@workflow(name="shipment", version="1.0.0")
def shipment(run: WorkflowRun, address: str, day: str) -> Tracking:
    """Two steps side by side, each on any worker."""
    driver, label = book_driver.start(run, address, day), print_label.start(run, address, day)
    return Tracking(number=label.result(), driver=driver.result())


@workflow(name="order", version="1.0.0")
def order(run: WorkflowRun, placed: Order) -> str:
    """Goes out with whatever goes to that address on that day.

    The shipment is not this order's alone, so it must not end with it.
    """
    shared = shipment.options(reference_id=f"{placed.day}/{placed.address}", on_parent_close="abandon")
    try:
        tracking = shared.run(run, placed.address, placed.day)
    except WorkflowFailed as error:
        return tell_customer.run(run, placed.id, f"cannot be shipped: {error.message}")
    return tell_customer.run(run, placed.id, f"on its way as {tracking.number} with {tracking.driver}")
