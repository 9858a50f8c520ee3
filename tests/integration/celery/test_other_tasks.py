"""The user's other tasks do not notice that the app has workflows."""

from __future__ import annotations

import pytest
from celery import Celery, chord, group

from aiki_celery import Aiki, DefinitionInvalid
from tests.integration.celery.deployment import Deployment
from tests.integration.celery.flows import add as add_workflow


def test_plain_task_keeps_its_class_acks_headers_and_route(shop: Deployment) -> None:
    """On a worker with Aiki, and from a client with it: nothing of ours is on its message."""
    expected = {"type": "Task", "acks_late": False, "headers": [], "queue": "celery"}
    assert expected == shop.task("plain.facts").delay().get(timeout=20)
    assert {**expected, "queue": "express"} == shop.task("plain.facts").apply_async(queue="express").get(
        timeout=20
    )


def test_plain_tasks_give_results_and_errors(shop: Deployment) -> None:
    """Results, canvas and failures are Celery's."""
    plain_add, plain_sum = shop.task("plain.add"), shop.task("plain.sum")
    assert [3, 5] == group(plain_add.s(1, 2), plain_add.s(2, 3)).apply_async().get(timeout=20)
    assert 8 == chord([plain_add.s(1, 2), plain_add.s(2, 3)])(plain_sum.s()).get(timeout=20)
    with pytest.raises(RuntimeError, match="as ever"):
        shop.task("plain.raise").delay("as ever").get(timeout=20)


def test_aiki_changes_no_celery_setting() -> None:
    """The configuration of an app with a broker is the same with and without."""
    apps = [Celery(f"app{number}", broker="memory://", set_as_current=False) for number in range(2)]
    Aiki(apps[1])
    plain, ours = (dict(app.conf) for app in apps)
    assert plain == ours
    assert apps[0].conf.task_routes == apps[1].conf.task_routes


def test_workflow_refuses_the_name_of_a_plain_task(sqlite_url: str) -> None:
    """Two of one name would hide one another."""
    app = Celery("twins", broker="memory://", set_as_current=False)

    @app.task(name="add", shared=False)
    def add(x: int, y: int) -> int:
        return x + y

    aiki = Aiki(app, journal=sqlite_url)
    app.finalize()
    with aiki, pytest.raises(DefinitionInvalid, match="'add'"):
        add_workflow.delay(1, 2)
    with pytest.raises(DefinitionInvalid, match="'add'"):
        aiki.binding  # noqa: B018 - what a worker asks for when it starts
