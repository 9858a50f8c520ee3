"""Tasks whose effects are told in order, and workflows of them that undo what they have done."""

from __future__ import annotations

from aiki_celery import Retry, current_step, task
from aiki_celery.journal.journal import Journal
from tests.contract.house import House
from tests.contract.rows import run_row

#: What was done, in order.
done: list[str] = []
#: The idempotency keys it was done with.
keys: list[str] = []
#: What does not work just now.
broken: set[str] = set()


def forget() -> None:
    """Nothing is done, and nothing is broken."""
    for told in (done, keys, broken):
        told.clear()  # type: ignore[attr-defined]


def _do(what: str) -> str:
    done.append(what)
    keys.append(current_step().idempotency_key)
    if what in broken:
        raise ValueError(f"{what} is broken")
    return what


@task(name="saga-book")
def book(what: str) -> str:
    return _do(what)


@task(name="saga-cancel")
def cancel(what: str) -> str:
    return _do(f"-{what}")


@task(name="saga-cancel-thrice", retry=Retry.fixed(3, 0.001))
def cancel_thrice(what: str) -> str:
    return _do(f"-{what}")


def ended(house: House, run_id: str) -> str:
    """Does everything; gives the state of the run."""
    house.drain()
    return str(run_row(house.journal, run_id).status)


def told() -> list[str]:
    """What was done since it was asked last."""
    what = list(done)
    done.clear()
    return what


def retried(house: House, run_id: str) -> str:
    """Mends everything and retries a run by hand; gives the state it comes to."""
    broken.clear()
    again = house.journal.second_chances.retry(run_id)
    assert again is not None
    house.publish([again])
    return ended(house, run_id)


def error_of(journal: Journal, run_id: str) -> str:
    """The error of a run, as text."""
    return str(run_row(journal, run_id).error)
