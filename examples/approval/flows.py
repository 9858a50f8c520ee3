"""Purchases, which the boss decides about."""

import json
import os
from datetime import timedelta
from pathlib import Path

from celery import Celery
from pydantic import BaseModel

from aiki_celery import Aiki, EventTimeout, WorkflowRun, event, task, workflow

app = Celery("approval")
aiki = Aiki(
    app,
    journal=os.environ.get("SHOP_JOURNAL", "sqlite:///shop.sqlite3"),
    secret_key=os.environ.get("SHOP_SECRET", "only good for a demonstration"),
)

#: Where mails go.
OUTBOX = Path(os.environ.get("SHOP_OUTBOX", "."))


class Decision(BaseModel):
    approved: bool
    by: str


decided = event("decided", Decision)


@task(name="mail-boss")
def mail_boss(item: str, price: int, token: str) -> None:
    """The same mail again, if the worker dies here, has the same token."""
    (OUTBOX / f"{item}.json").write_text(json.dumps({"item": item, "price": price, "token": token}))


@task(name="order")
def order(item: str) -> str:
    return f"{item} ordered"


@workflow(name="purchase", version="1.0.0")
def purchase(run: WorkflowRun, item: str, price: int, patience: float = 86_400.0) -> str:
    """Nothing is held while the boss thinks: no worker, no connection, no message."""
    if price < 100:
        return order.run(run, item)
    token = run.callback(decided, expires_in=timedelta(days=7))
    mail_boss.run(run, item, price, token)
    try:
        decision = run.wait_for(decided, timeout=patience)
    except EventTimeout:
        return f"{item} not ordered: nobody has decided"
    if not decision.approved:
        return f"{item} not ordered: {decision.by} is against it"
    return f"{order.run(run, item)}: {decision.by} is for it"
