"""A payment service that is down for two calls, and the workflow that pays all the same."""

from __future__ import annotations

from celery import Celery
from pydantic import BaseModel

from aiki_celery import Aiki, Retry, WorkflowRun, current_step, task, workflow
from tests.harness.telling import tell

app = Celery("payments")
aiki = Aiki(app)


class Payment(BaseModel):
    payment_id: str
    amount: int


class Receipt(BaseModel):
    success: bool


@task(name="call-payment-service", retry=Retry.exponential(max_attempts=3, base_delay=0.1))
def call_payment_service(payment: Payment) -> Receipt:
    tell("payment", payment_id=payment.payment_id)
    if current_step().attempt <= 2:
        raise ConnectionError("Payment service temporarily unavailable")
    return Receipt(success=True)


@workflow(name="pay")
def pay(run: WorkflowRun, payment: Payment) -> Receipt:
    return call_payment_service.run(run, payment)
