"""What is kept of a signature, so that the task's message is its own whenever it is sent."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from celery import Celery
from kombu import Queue

from aiki_celery.celery_binding.adopted.signatures import SignatureReader
from aiki_celery.celery_binding.message import read_options
from aiki_celery.engine.ports import CeleryOptions

#: An instant, in microseconds and as Python tells it.
NOW = 1_700_000_000_000_000
MOMENT = datetime.fromtimestamp(NOW / 1_000_000, timezone.utc)


def send(to: str) -> None:
    """A task's code."""


def nothing() -> None:
    """Another one's."""


@pytest.fixture
def app() -> Iterator[Celery]:
    """An application in another time zone, with routes."""
    made = Celery("signatures", broker="memory://", set_as_current=False)
    made.conf.update(timezone="Asia/Tokyo", task_routes={"mail.*": {"queue": "mail"}})
    made.task(name="mail.send", shared=False)(send)
    made.task(name="own-queue", queue="own", shared=False)(nothing)
    yield made
    made.close()


def read(app: Celery, name: str = "mail.send", **options: Any) -> CeleryOptions:
    """What is kept of a signature of this task with these options."""
    reader, signature = SignatureReader(app), app.signature(name, args=("ann",) * (name == "mail.send"))
    signature.set(**options)
    return reader.options_of(signature, reader.call_of(signature), NOW)


@pytest.mark.parametrize(
    ("options", "delay"),
    [
        ({}, None),
        ({"countdown": 2.5}, 2.5),
        ({"countdown": 0}, None),
        ({"countdown": -3}, None),
        ({"eta": MOMENT + timedelta(seconds=7)}, 7.0),
        ({"eta": (MOMENT + timedelta(seconds=7)).isoformat()}, 7.0),
        # Without a zone it is meant in the application's, nine hours ahead.
        ({"eta": (MOMENT + timedelta(hours=9, seconds=7)).replace(tzinfo=None)}, 7.0),
        ({"eta": MOMENT - timedelta(days=1)}, None),
    ],
)
def test_a_start_in_the_future_is_a_delay(app: Celery, options: dict[str, Any], delay: float | None) -> None:
    """And no option of the message."""
    kept = read(app, **options)
    assert (delay, None) == (kept.delay, kept.text)


@pytest.mark.parametrize(
    ("name", "options", "queue"),
    [
        ("mail.send", {}, "mail"),
        ("mail.send", {"queue": "urgent"}, "urgent"),
        ("mail.send", {"queue": Queue("object")}, "object"),
        ("own-queue", {}, "own"),
        ("mail.elsewhere", {}, "mail"),
        ("elsewhere", {}, "celery"),
    ],
)
def test_the_queue_is_where_celery_routes_it(
    app: Celery, name: str, options: dict[str, Any], queue: str
) -> None:
    """It is only kept to know where a message may be missing."""
    kept = read(app, name, **options)
    assert (queue, "elsewhere" in name) == (kept.queue, kept.is_foreign)


def test_an_expiry_is_kept_as_an_instant(app: Celery) -> None:
    """However often the message is sent, and whenever."""
    later = MOMENT + timedelta(seconds=60)
    for given in (60, later, later.isoformat()):
        assert later.isoformat() == read_options(read(app, expires=given).text)["expires"]


def test_other_options_are_kept_as_they_are(app: Celery) -> None:
    """Callbacks as lists, none of Celery's own ids."""
    one, other = app.signature("one"), app.signature("other", args=(1,))
    kept = read_options(
        read(
            app,
            link=one,
            link_error=[one, other],
            headers={"tenant": 7},
            priority=3,
            task_id="mine",
            reply_to="me",
            soft_time_limit=None,
        ).text
    )
    assert {"link", "link_error", "headers", "priority"} == set(kept)
    assert (["one"], ["one", "other"]) == (
        [link["task"] for link in kept["link"]],
        [link["task"] for link in kept["link_error"]],
    )
    assert ({"tenant": 7}, 3) == (kept["headers"], kept["priority"])
