"""L29: a worker that dies between a link's return and its stored result does not stop a chain or a chord."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from celery import chain, chord
from celery.exceptions import TimeoutError, WorkerLostError

from tests.acceptance.conftest import Lab
from tests.acceptance.lessons.definitions import count
from tests.harness.eventually import eventually

APP = "tests.acceptance.lessons.dying_app"
POINTS = (
    "before the outcome is recorded",
    "after the outcome is recorded",
    "before the successor is published",
    "before the result is stored",
    "before the worker hears of it",
)


@pytest.fixture
def deadly_lab(
    make_lab: Callable[..., Lab],
    postgres_url: str,
    redis_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[str], Lab]:
    """With a result backend, and workers that die once at a point."""

    def make(point: str) -> Lab:
        monkeypatch.setenv("LESSON_DIE_AT", point)
        monkeypatch.setenv("LESSON_MARK", str(tmp_path / "died"))
        return make_lab(postgres_url, redis_url, backend=redis_url)

    return make


def test_plain_chain_stops_there(deadly_lab: Callable[[str], Lab]) -> None:
    """The fault: with Celery's defaults, the successor is never published."""
    lab = deadly_lab("before the successor is published")
    lab.start_worker(APP)
    links = chain(lab.app.signature("lesson-plain-first", (1,)), lab.app.signature("lesson-successor"))
    result = links.apply_async()
    eventually(lambda: lab.effects.count("died") == 1, 10, "the death")
    with pytest.raises((TimeoutError, WorkerLostError)):
        result.get(timeout=3)
    assert 0 == lab.effects.count("successor")


@pytest.mark.parametrize("point", POINTS)
def test_chain_goes_on_after_a_death(
    point: str, deadly_lab: Callable[[str], Lab], at_rest: Callable[..., object]
) -> None:
    """Its last result arrives under the task id the client knows, whichever way the successor was published."""
    lab = deadly_lab(point)
    lab.start_worker(APP)
    result = chain(count.s(2, 0.0), lab.app.signature("lesson-successor")).apply_async()

    assert [0, 1] == result.get(timeout=25)
    assert 1 == lab.effects.count("died")
    told = lab.effects.all("successor")
    assert {result.id} == {effect["task"] for effect in told}
    assert len(told) <= 2
    assert 2 == lab.effects.count("work")
    at_rest(lab)


@pytest.mark.parametrize("point", POINTS[1:4])
def test_chord_goes_on_after_a_death(
    point: str, deadly_lab: Callable[[str], Lab], at_rest: Callable[..., object]
) -> None:
    """The body runs with every result."""
    lab = deadly_lab(point)
    lab.start_worker(APP)
    result = chord([count.s(1, 0.0), count.s(2, 0.0)], lab.app.signature("lesson-successor")).apply_async()

    assert [[0], [0, 1]] == result.get(timeout=25)
    assert 1 == lab.effects.count("died")
    assert {result.id} == {effect["task"] for effect in lab.effects.all("successor")}
    assert 3 == lab.effects.count("work")
    at_rest(lab)
