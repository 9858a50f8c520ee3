"""L22: a plain chord loses its body with a task or a result of its header; ``durable(chord(...))`` runs it once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import chain, chord, group
from celery._state import get_current_app
from celery.exceptions import TimeoutError

from aiki_celery import RunError, RunStatus, WorkflowFailed, durable
from tests.acceptance.conftest import Lab
from tests.acceptance.lessons.chord_tasks import body, mended_by, part, passing_on
from tests.harness.eventually import eventually

APP = "tests.acceptance.lessons.chord_app"


@pytest.fixture
def chord_lab(make_lab: Callable[..., Lab], postgres_url: str, redis_url: str) -> Iterator[Lab]:
    """With a result backend, for the plain chord's sake."""
    lab, before = make_lab(postgres_url, redis_url, backend=redis_url), get_current_app()
    lab.app.set_current()
    yield lab
    before.set_current()


def slow_chord(side: str) -> Any:
    """One part is over at once, the other takes three seconds."""
    return chord([part.s(side, "quick"), part.s(side, "slow", 3.0)], body.s(side))


def test_killed_worker_stops_a_plain_chord_and_no_durable_one(chord_lab: Lab) -> None:
    """Its only worker dies by ``kill -9`` while a task of each header is under way."""
    effects = chord_lab.effects
    worker = chord_lab.start_worker(APP, concurrency=4)
    plain, handle = slow_chord("plain").apply_async(), durable(slow_chord("durable")).enqueue()
    eventually(lambda: effects.count("part") == 4, 10, "every part to begin")
    eventually(lambda: handle.status is RunStatus.AWAITING_STEPS, 10, "the canvas to wait")
    done = {"parent_id": handle.id, "statuses": [RunStatus.COMPLETED]}
    eventually(lambda: chord_lab.aiki.journal.views.find(**done), 10, "the quick part's result to be kept")
    worker.kill_group()
    chord_lab.start_worker(APP, concurrency=4)

    assert "quick+slow" == handle.get(timeout=30)
    with pytest.raises(TimeoutError):
        plain.get(timeout=4)
    assert (0, 1) == (effects.count("body", side="plain"), effects.count("body", side="durable"))
    assert 1 == effects.count("part", side="durable", part="quick")


def test_expired_result_stops_a_plain_chord_and_no_durable_one(
    chord_lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first result is kept for a second, and the header takes three."""
    monkeypatch.setenv("LESSON_RESULT_EXPIRES", "1")
    chord_lab.start_worker(APP, concurrency=4)
    plain, handle = slow_chord("plain").apply_async(), durable(slow_chord("durable")).enqueue()

    assert "quick+slow" == handle.get(timeout=30)
    with pytest.raises(TimeoutError):
        plain.get(timeout=3)
    effects = chord_lab.effects
    assert (0, 1) == (effects.count("body", side="plain"), effects.count("body", side="durable"))


def test_failed_canvas_goes_on_from_the_failed_task(chord_lab: Lab, tmp_path: Path) -> None:
    """After the cause is mended; what had finished, on whichever branch, is not run again."""
    mended = tmp_path / "mended"
    canvas = chord(
        [
            part.s("durable", "first"),
            chain(mended_by.s("durable", "broken", str(mended)), passing_on.s("durable", "after it")),
            chain(part.s("durable", "other"), passing_on.s("durable", "its end")),
        ],
        body.s("durable"),
    )
    chord_lab.start_worker(APP)
    handle = durable(canvas).enqueue()
    with pytest.raises(WorkflowFailed, match="broken is broken"):
        handle.get(timeout=20)
    parts = ["broken", "first", "its end", "other"]
    assert parts == sorted(effect["part"] for effect in chord_lab.effects.all("part"))

    mended.touch()
    handle.retry()

    assert "first+broken>after it+other>its end" == handle.get(timeout=20)
    assert sorted([*parts, "broken", "after it"]) == sorted(e["part"] for e in chord_lab.effects.all("part"))
    assert 1 == chord_lab.effects.count("body")


def test_canvas_may_fail_and_be_retried_more_than_once(chord_lab: Lab, tmp_path: Path) -> None:
    """Each retry does again what failed last, and only that."""
    files = [tmp_path / "one", tmp_path / "two"]
    canvas = group(mended_by.s("durable", file.name, str(file)) for file in files) | body.s("durable")
    chord_lab.start_worker(APP)
    handle = durable(canvas).enqueue()
    for file in files:
        with pytest.raises(WorkflowFailed, match="is broken"):
            handle.get(timeout=20)
        file.touch()
        handle.retry()

    assert "one+two" == handle.get(timeout=20)
    counts = [chord_lab.effects.count("part", part=name) for name in ("one", "two")]
    assert [2, 3] == counts
    with pytest.raises(RunError, match="only a failed run can be retried"):
        handle.retry()
