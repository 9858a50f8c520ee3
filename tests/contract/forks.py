"""Forks of runs in a house, and the workflows that are forked."""

from __future__ import annotations

from aiki_celery.engine.fork_plan import Wish
from aiki_celery.engine.forking import fork
from tests.contract.house import House


def forked(
    house: House, run_id: str, from_step: int | str | None = None, *, version: str | None = None
) -> str:
    """A fork whose message was sent; gives its id."""
    new = fork(house.journal, run_id, Wish(from_step, version, None))
    house.publish([new])
    return new.run_id
