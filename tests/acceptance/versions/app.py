"""The workers' application; `DEPLOYED` says which code of the order they have, and in which versions.

`original` and `inserted` are version 1.0.0 without and with a step before the charge, `guarded` has it behind a patch;
`two` has version 2.0.0 beside the original 1.0.0.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from celery import Celery

from aiki_celery import Aiki, WorkflowRun, task, workflow
from tests.harness.telling import tell

app = Celery("versions")
app.conf.worker_prefetch_multiplier = 1
aiki = Aiki(app)

#: Seconds that an order sleeps in the middle.
GRACE = 1.0


@task(name="deploys-act")
def act(what: str, order: int) -> str:
    tell("act", what=what, order=order)
    return what


def original(run: WorkflowRun, order: int) -> list[str]:
    done = [act.run(run, "charge", order)]
    run.sleep(GRACE, name="grace")
    return [*done, act.run(run, "ship", order)]


def inserted(run: WorkflowRun, order: int) -> list[str]:
    done = [act.run(run, "reserve", order), act.run(run, "charge", order)]
    run.sleep(GRACE, name="grace")
    return [*done, act.run(run, "ship", order)]


def guarded(run: WorkflowRun, order: int) -> list[str]:
    done = [act.run(run, "reserve", order)] if run.patched("reserve") else []
    done.append(act.run(run, "charge", order))
    run.sleep(GRACE, name="grace")
    return [*done, act.run(run, "ship", order)]


def second(run: WorkflowRun, order: int) -> list[str]:
    return [act.run(run, "second", order)]


CODE: dict[str, Callable[[WorkflowRun, int], list[str]]] = {
    "original": original,
    "inserted": inserted,
    "guarded": guarded,
}
DEPLOYED = os.environ.get("DEPLOYED", "two")


@workflow(name="deploys-order", version="1.0.0")
def order_one(run: WorkflowRun, order: int) -> list[str]:
    return CODE.get(DEPLOYED, original)(run, order)


if DEPLOYED == "two":

    @workflow(name="deploys-order", version="2.0.0")
    def order_two(run: WorkflowRun, order: int) -> list[str]:
        return second(run, order)
