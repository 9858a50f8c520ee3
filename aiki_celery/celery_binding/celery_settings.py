"""Our settings among Celery's."""

from __future__ import annotations

from typing import Any

from celery import Celery

from aiki_celery.settings import NAMES, PREFIX


def celery_settings(app: Celery) -> dict[str, Any]:
    """Give the Celery settings that are ours, with or without a namespace before them."""
    conf = app.conf
    found: dict[str, Any] = {}
    space = f"{app.namespace}_".lower() if app.namespace else ""
    for key in list(conf.keys()):
        name = str(key).lower().removeprefix(space)
        if name.startswith(PREFIX):
            found[name] = conf[key]
    for name in NAMES:
        value = conf.get(PREFIX + name)
        if value is not None:
            found[PREFIX + name] = value
    return found
