"""A shop: a Celery application, one line for durable workflows, and the workflow of an order."""

import os
import time
from decimal import Decimal

from celery import Celery
from pydantic import BaseModel

from aiki_celery import Aiki, Retry, WorkflowRun, current_step, task, workflow
from examples.order.outside_world import take_effect

app = Celery("shop")
aiki = Aiki(app, journal=os.environ.get("SHOP_JOURNAL", "sqlite:///shop.sqlite3"))


class Order(BaseModel):
    id: str
    item: str
    amount: Decimal


class Receipt(BaseModel):
    order_id: str
    payment: str
    parcel: str


@task(name="reserve-stock")
def reserve_stock(order_id: str, item: str) -> str:
    take_effect("reserve-stock", current_step().idempotency_key)
    return f"{item} reserved for {order_id}"


@task(name="charge-card", retry=Retry.exponential(max_attempts=5, base_delay=0.2, max_delay=30.0))
def charge_card(order_id: str, amount: Decimal) -> str:
    if current_step().attempt < 3:
        raise ConnectionError("payment gateway: 503 Service Unavailable")
    take_effect("charge-card", current_step().idempotency_key)
    return f"payment-{order_id}"


@task(name="pack-parcel")
def pack_parcel(order_id: str) -> str:
    time.sleep(2.0)  # a slow packer: the worker is killed while he is at it
    take_effect("pack-parcel", current_step().idempotency_key)
    return f"parcel-{order_id}"


@task(name="send-receipt")
def send_receipt(receipt: Receipt) -> None:
    take_effect("send-receipt", current_step().idempotency_key)


@workflow(name="process-order", version="1.0.0")
def process_order(run: WorkflowRun, order: Order) -> Receipt:
    reserve_stock.run(run, order.id, order.item)
    payment = charge_card.run(run, order.id, order.amount)
    parcel = pack_parcel.run(run, order.id)
    run.sleep(1, name="cool-down")
    receipt = Receipt(order_id=order.id, payment=payment, parcel=parcel)
    send_receipt.run(run, receipt)
    return receipt
