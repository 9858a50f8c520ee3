"""Events, on real workers: typed, in order, once, in time or not, from many senders at once, and by callback."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone

import pytest

from aiki_celery import RunFinished, RunStatus, TokenExpired, TokenUsed
from tests.acceptance.conftest import Lab
from tests.acceptance.events.definitions import (
    SECRET,
    Approval,
    approved,
    collect,
    number,
    paid,
    parent,
    purchase,
    race,
    with_callback,
)
from tests.harness.eventually import eventually
from tests.harness.invariants import check_invariants

APP = "tests.acceptance.events.app"

ANN = Approval("ann", datetime(2030, 5, 1, 12, tzinfo=timezone.utc))


@pytest.fixture(params=["lab", "embedded_lab"])
def any_lab(request: pytest.FixtureRequest) -> Lab:
    """PostgreSQL with Redis, and one SQLite file."""
    found: Lab = request.getfixturevalue(request.param)
    return found


def test_events_reach_runs_before_and_while_they_wait(any_lab: Lab) -> None:
    """What it is comes through as it was sent; who sends nothing is told by the timeout; who is over refuses."""
    early, late, never = purchase.enqueue(30), purchase.enqueue(30), purchase.enqueue(0.5)
    early.send(approved, ANN)
    any_lab.start_worker(APP, concurrency=2)
    eventually(lambda: late.status is RunStatus.AWAITING_EVENT, 10, "a run that waits")
    late.send(approved, ANN)

    assert ["ann on 2030-05-01"] * 2 == [early.get(timeout=20), late.get(timeout=20)]
    assert "nobody decided" == never.get(timeout=20)
    with pytest.raises(RunFinished, match="is over: it is completed"):
        late.send(approved, ANN)
    eventually(lambda: check_invariants(any_lab.journal), 8, "a journal at rest")


def test_many_senders_at_once(any_lab: Lab) -> None:
    """U2: two hundred events by eight threads, half of them twice, while the run goes through them: each once."""
    handle = collect.enqueue(200)
    any_lab.start_worker(APP, concurrency=2)

    def send(what: int) -> list[bool]:
        return [handle.send(number, what, id=f"n-{what}") for _ in range(1 + what % 2)]

    with ThreadPoolExecutor(8) as senders:
        counted = list(senders.map(send, range(200)))

    result = handle.get(timeout=60)
    assert [[True, False][: 1 + what % 2] for what in range(200)] == counted
    assert list(range(200)) == sorted(result)
    assert result == [effect["what"] for effect in any_lab.effects.all("had")]
    eventually(lambda: check_invariants(any_lab.journal, any_lab.effects), 8, "a journal at rest")


def test_event_races_a_step(any_lab: Lab) -> None:
    """The first of the two goes on; the other may come or not."""
    any_lab.start_worker(APP, concurrency=2)
    by_event, by_step = race.enqueue(1.5), race.enqueue(0.0)
    by_event.send(paid, 9.5)

    assert ["9.5", "slow"] == [by_event.get(timeout=20), by_step.get(timeout=20)]


def test_send_many_tells_each_runs_outcome(lab: Lab) -> None:
    """Three children by their reference ids, one that is over, one that there is not."""
    lab.start_worker(APP, concurrency=4)
    done = purchase.options(reference_id="done").enqueue(0.0)
    waiting = parent.enqueue()
    done.get(timeout=10)
    eventually(
        lambda: len(lab.aiki.journal.views.find(statuses=[RunStatus.AWAITING_EVENT])) == 3, 10, "all to wait"
    )
    ids = ["p-0", "done", "p-1", "none", "p-2"]

    first = purchase.send_many(approved, ANN, reference_ids=ids, id="decision-1")

    assert ["ann on 2030-05-01"] * 3 == waiting.get(timeout=20)
    assert ["delivered", "finished", "delivered", "unknown", "delivered"] == [one.status for one in first]
    assert ids == [one.reference_id for one in first]
    again = purchase.send_many(approved, ANN, reference_ids=ids, id="decision-1")
    assert ["duplicate", "finished", "duplicate", "unknown", "duplicate"] == [one.status for one in again]


def test_callback_is_exchanged_once(
    make_lab: Callable[..., Lab], postgres_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has the token needs nothing else; it is used up, or its time is over."""
    monkeypatch.setenv("AIKI_SECRET_KEY", SECRET)
    lab = make_lab(postgres_url, redis_url)
    lab.start_worker(APP)
    handle = with_callback.enqueue(30)
    eventually(lambda: lab.effects.count("token") == 1, 10, "the token")
    token = lab.effects.all("token")[0]["token"]

    assert handle.id == paid.exchange(token, 12.5)

    assert 12.5 == handle.get(timeout=20)
    with pytest.raises(TokenUsed):
        paid.exchange(token, 99.0)
    short = with_callback.enqueue(0.2)
    eventually(lambda: short.status is RunStatus.AWAITING_EVENT, 10, "the second to wait")
    expired = lab.effects.all("token")[1]["token"]

    journal = lab.aiki.journal
    expires_at = journal.views.steps(short.id)[0].due_at or 0
    eventually(lambda: journal.now() > expires_at, 5, "the token to expire")
    with pytest.raises(TokenExpired):
        paid.exchange(expired, 1.0)
    short.send(paid, 3.0)
    assert 3.0 == short.get(timeout=20)
