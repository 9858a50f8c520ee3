"""Started steps, on real workers: once each, routed, retried, recovered, timed out, raced, held back."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiki_celery.model.status import RunStatus
from tests.acceptance.conftest import Lab
from tests.acceptance.steps.definitions import (
    fan_out,
    mapping,
    racing,
    retrying,
    surviving,
    through_routes,
    timing_out,
)

APP = "tests.acceptance.steps.app"


@pytest.fixture(params=["lab", "embedded_lab", "other_lab"])
def any_lab(request: pytest.FixtureRequest) -> Lab:
    """PostgreSQL with Redis, one SQLite file, and MariaDB with RabbitMQ."""
    found: Lab = request.getfixturevalue(request.param)
    return found


def test_fan_out_runs_each_step_once_and_resumes_once(any_lab: Lab) -> None:
    any_lab.start_worker(APP)

    assert sum(n * n for n in range(50)) == fan_out.enqueue(50).get(timeout=30)

    assert list(range(50)) == sorted(e["number"] for e in any_lab.effects.all("square"))
    assert 2 == any_lab.effects.count("pass")


def test_steps_go_to_their_queues(lab: Lab) -> None:
    lab.start_worker(APP, queues=["celery"])
    handle = through_routes.enqueue()
    lab.start_worker(APP, queues=["elsewhere"])
    assert handle.status is not RunStatus.COMPLETED

    lab.start_worker(APP, queues=["third"])

    assert [1, 4, 9] == handle.get(timeout=20)
    pids = {(e["name"], e.get("number")): e["pid"] for e in lab.effects.all()}
    assert 3 == len(set(pids.values()))


def test_a_failed_attempt_is_retried_durably_and_keeps_its_details(any_lab: Lab) -> None:
    any_lab.start_worker(APP)

    assert [3, 7] == retrying.enqueue(3).get(timeout=30)

    told = any_lab.effects.all("flaky")
    assert [(1, None), (2, {"attempt": 1}), (3, {"attempt": 2})] == [
        (e["attempt"], e["details"]) for e in told
    ]
    assert told[1]["at"] - told[0]["at"] >= 1.4
    assert 1 == any_lab.effects.count("slow")


def test_a_step_that_gives_up_raises_and_its_sibling_is_not_dropped(any_lab: Lab) -> None:
    any_lab.start_worker(APP)

    answers = retrying.enqueue(9).get(timeout=30)

    assert ["steps-flaky failed after 3 attempts: ConnectionError: attempt 3", 7] == answers


def test_a_step_whose_process_is_killed_is_run_again(any_lab: Lab, tmp_path: Path) -> None:
    any_lab.start_worker(APP)

    assert "survived" == surviving.enqueue(str(tmp_path / "flag")).get(timeout=30)

    assert [None, {"half": "done"}] == [e["details"] for e in any_lab.effects.all("deadly")]


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_step_that_takes_too_long_is_timed_out(lab: Lab, pool: str) -> None:
    lab.start_worker(APP, pool=pool, concurrency=4)

    outcome = timing_out.enqueue().get(timeout=40)

    assert (
        "steps-endless failed after 2 attempts: StepTimeout: steps-endless took longer than its timeout of 1 s."
        == outcome
    )
    assert 2 == lab.effects.count("endless")


def test_the_first_wins_and_the_other_goes_on(any_lab: Lab) -> None:
    any_lab.start_worker(APP)

    assert [2, 1] == racing.enqueue().get(timeout=30)

    assert 2 == any_lab.effects.count("slow")


def test_no_more_than_so_many_are_under_way_at_once(lab: Lab) -> None:
    lab.start_worker(APP, pool="threads", concurrency=10)

    assert list(range(9)) == mapping.enqueue(9, 3, 0.3).get(timeout=30)

    moments = sorted(
        [(e["at"], 1) for e in lab.effects.all("slow began")]
        + [(e["at"], -1) for e in lab.effects.all("slow")]
    )
    under_way = [sum(change for _, change in moments[: n + 1]) for n in range(len(moments))]
    assert 3 == max(under_way)


def test_a_longer_step_is_not_taken_away_from_its_worker(lab: Lab) -> None:
    lab.start_worker(APP)

    assert [0] == mapping.enqueue(1, 1, 13.0).get(timeout=40)

    assert 1 == lab.effects.count("slow began")
