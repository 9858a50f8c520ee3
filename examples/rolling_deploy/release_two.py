"""The shop's code on Tuesday: Monday's orders go on, and new ones are done another way."""

import os

from celery import Celery

from aiki_celery import Aiki, WorkflowRun, task, workflow

app = Celery("shop")
aiki = Aiki(app, journal=os.environ.get("SHOP_JOURNAL", "sqlite:///shop.sqlite3"))


@task(name="check-address")
def check_address(order: str) -> str:
    return f"{order} checked"


@task(name="charge")
def charge(order: str) -> str:
    return f"{order} paid"


@task(name="ship")
def ship(order: str) -> str:
    return f"{order} shipped"


@workflow(name="fulfil", version="1.0.0")
def fulfil(run: WorkflowRun, order: str) -> list[str]:
    # Where an order is beyond this place, it goes on without.
    done = [check_address.run(run, order)] if run.patched("check the address") else []
    done.append(charge.run(run, order))
    run.sleep(3, name="until it may be recalled no more")
    return [*done, ship.run(run, order)]


@workflow(name="fulfil", version="2.0.0")
def fulfil_at_once(run: WorkflowRun, order: str) -> list[str]:
    checked = check_address.run(run, order)
    return [checked, *run.gather(charge.start(run, order), ship.start(run, order))]
