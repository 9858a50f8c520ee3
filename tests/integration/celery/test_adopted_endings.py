"""How a started Celery task ends, from what Celery says of it; without a broker."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from celery import Celery, states
from celery.exceptions import Ignore, Reject, Retry
from kombu.exceptions import OperationalError

from aiki_celery import Aiki
from aiki_celery.celery_binding.adopted.ending import AdoptedEnding
from aiki_celery.errors import JournalUnavailable
from aiki_celery.model.events import RunEvent, StepCommitted, StepCommitting, StepTaken
from aiki_celery.model.records import Envelope
from tests.contract.adoptions import adopting_and_waiting, taken
from tests.contract.families import TASK
from tests.contract.rows import run_row

SECOND = 1_000_000


@pytest.fixture
def aiki(sqlite_url: str) -> Iterator[Aiki]:
    """An application with a journal."""
    with Aiki(
        Celery("endings", broker="memory://", set_as_current=False), journal=sqlite_url, redelivery_after=30.0
    ) as made:
        made.upgrade_journal()
        yield made
        made.close()


def ended(aiki: Aiki, state: str, value: Any) -> tuple[Any, list[str]]:
    """The row of a task of which Celery has said this, and the runs that go on."""
    parent = adopting_and_waiting(aiki.journal)
    woken: list[Envelope] = []
    claim = taken(aiki.journal, parent.children[1])
    AdoptedEnding(aiki.binding, claim, woken.extend).settle(state, value)
    return run_row(aiki.journal, claim.run_id), [run.run_id for run in woken if run.run_id == parent.id]


@pytest.mark.parametrize(
    ("state", "value", "status", "goes_on"),
    [
        (states.SUCCESS, {"a": 1}, "completed", True),
        (states.FAILURE, ValueError("no"), "failed", True),
        (states.REJECTED, Reject("no", requeue=False), "failed", True),
        (states.REJECTED, Reject("no", requeue=True), "queued", False),
        (states.REJECTED, Reject(OperationalError("gone"), requeue=False), "awaiting_retry", False),
        (states.RETRY, Retry(when=5), "awaiting_retry", False),
        (states.IGNORED, Ignore(), "cancelled", True),
        (states.IGNORED, Ignore("Replaced by new task"), "queued", False),
    ],
)
def test_each_state_of_celerys_has_one_of_ours(
    aiki: Aiki, state: str, value: Any, status: str, goes_on: bool
) -> None:
    """The parent goes on exactly if the task is over."""
    row, woken = ended(aiki, state, value)
    assert (status, goes_on) == (row.status, bool(woken))
    assert row.owner is None


@pytest.mark.parametrize(
    ("when", "seconds"), [("5 s", 35), ("now", 30), ("in a minute", 90), ("long ago", 30)]
)
def test_a_lost_try_is_sent_when_it_is_overdue(aiki: Aiki, when: str, seconds: float) -> None:
    """Celery's own message has that long to come."""
    now = datetime.now(timezone.utc)
    minute = timedelta(seconds=60)
    instants: dict[str, Any] = {"5 s": 5, "now": None, "in a minute": now + minute, "long ago": now - minute}

    row, _ = ended(aiki, states.RETRY, Retry(when=instants[when]))

    left = (row.due_at - aiki.journal.now()) / SECOND
    assert seconds - 10 < left <= seconds + 1
    assert 2 == row.attempt


def test_hooks_hear_of_it(sqlite_url: str, aiki: Aiki) -> None:
    """As of any step."""
    heard: list[RunEvent] = []
    for kind in (StepTaken, StepCommitting, StepCommitted):
        aiki.on(kind, heard.append)

    ended(aiki, states.FAILURE, ValueError("no"))

    assert [StepTaken, StepCommitting, StepCommitted] == [type(event) for event in heard]
    assert {(TASK, 1)} == {(event.step, event.attempt) for event in heard if isinstance(event, StepTaken)}
    assert isinstance(heard[-1], StepCommitted)
    assert heard[-1].failed


def test_an_answer_waits_for_the_journal(aiki: Aiki, monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes once, so it is tried until it is written."""
    parent = adopting_and_waiting(aiki.journal)
    aiki.app.finalize()
    calls, tries = aiki.journal.adoptions.calls, []

    def away(run_ids: Any) -> Any:
        tries.append(run_ids)
        if len(tries) < 3:
            raise JournalUnavailable("away")
        return calls(run_ids)

    monkeypatch.setattr(aiki.journal.adoptions, "calls", away)
    monkeypatch.setattr(aiki.binding.starter, "publish", lambda envelopes: None)
    answer = {"run": parent.children[1], "secret": "s", "failed": False}
    aiki.app.tasks["aiki.settle"].apply((7,), answer)

    row = run_row(aiki.journal, parent.children[1])
    assert (3, "completed", "7") == (len(tries), row.status, row.output)
