"""The shop's code on Monday."""

import os

from celery import Celery

from aiki_celery import Aiki, WorkflowRun, task, workflow

app = Celery("shop")
aiki = Aiki(app, journal=os.environ.get("SHOP_JOURNAL", "sqlite:///shop.sqlite3"))


@task(name="charge")
def charge(order: str) -> str:
    return f"{order} paid"


@task(name="ship")
def ship(order: str) -> str:
    return f"{order} shipped"


@workflow(name="fulfil", version="1.0.0")
def fulfil(run: WorkflowRun, order: str) -> list[str]:
    done = [charge.run(run, order)]
    run.sleep(3, name="until it may be recalled no more")
    return [*done, ship.run(run, order)]
