"""What a worker's main process does about its application, seen from inside this process."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery, _state, current_app, signals
from celery.contrib.testing.worker import start_worker
from celery.utils.collections import LimitedSet
from celery.worker import state

from aiki_celery import Aiki, InputInvalid, WorkflowRun, schedule, workflow
from aiki_celery.celery_binding.process import WORKER_ID
from aiki_celery.celery_binding.revocations import Revocations
from aiki_celery.definitions.registry import registry


@workflow(name="here-doubling")
def doubling(run: WorkflowRun, number: int = 1) -> int:
    return 2 * number


@workflow(name="here-never")
def later(run: WorkflowRun, number: Never) -> None: ...  # type: ignore[name-defined]  # noqa: F821


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """The current application and what is declared are the same afterwards."""
    before = _state.default_app, getattr(_state._tls, "current_app", None), dict(registry._schedules)
    yield
    _state.default_app, _state._tls.current_app, _ = before
    registry._schedules.clear()
    registry._schedules.update(before[2])


def an_app(where: Path, name: str) -> Celery:
    """An application with its extension."""
    app = Celery(name, broker="memory://", set_as_current=False)
    Aiki(app, journal=f"sqlite:///{where / name}.sqlite3")
    return app


def test_proxy_stands_for_its_application(tmp_path: Path) -> None:
    """`Aiki(current_app)`: a worker's application is the one behind it."""
    app = Celery("behind", broker="memory://")
    aiki = Aiki(current_app, journal=f"sqlite:///{tmp_path}/behind.sqlite3")
    with aiki, start_worker(app, perform_ping_check=False):
        assert (app, 8) == (aiki.app, doubling.enqueue(4).get(timeout=20))
    assert aiki.app is app
    assert app.aiki is aiki  # type: ignore[attr-defined]
    aiki.close()


def test_schedule_that_cannot_be_used_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """By the worker that starts. Its annotation names what is never defined."""
    schedule(later, every=3600, name="unusable", args=(1,))
    app = an_app(tmp_path, "telling")
    app.conf.worker_hijack_root_logger = False
    caplog.set_level(logging.ERROR, "aiki_celery.schedules")
    with app.aiki, start_worker(app, perform_ping_check=False):  # type: ignore[attr-defined]
        pass
    told = [record.getMessage() for record in caplog.records if record.name == "aiki_celery.schedules"]
    assert ["Schedule 'unusable' cannot be used: name 'Never' is not defined"] == told


def test_process_joins_the_worker_of_its_own_application(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another extension of the process is left alone: its settings are not even read."""
    mine, other = an_app(tmp_path, "mine"), an_app(tmp_path, "other")
    monkeypatch.setenv(WORKER_ID, "w/1")
    mine.set_current()
    signals.worker_process_init.send(sender=None)
    assert ("w/1", None) == (mine.aiki.binding.process.worker_id, other.aiki._binding)  # type: ignore[attr-defined]


class Kept:
    """What sweeps are given, as far as revocations ask; no run is known, and each id that is asked for is noted."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.journal = self.deadlines = self
        self.fails = False

    def live(self, run_ids: list[str]) -> list[str]:
        """Those that are not over."""
        self.asked.append(sorted(run_ids))
        if self.fails:
            raise RuntimeError("the database is away")
        return []


def test_revoked_ids_are_looked_at_when_there_are_new_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """There may be 50,000. An id that comes where another one goes, and is not the last one, is a new one too."""
    revoked = LimitedSet(maxlen=4)
    monkeypatch.setattr(state, "revoked", revoked)
    kept = Kept()
    revocations = Revocations(kept)  # type: ignore[arg-type]
    for run_id in "abc":
        revoked.add(run_id)
    revocations.sweep()
    revocations.sweep()
    revoked.add("d")
    revocations.sweep()
    revoked.add("e")
    revoked.discard("a")
    revoked.add("d")
    revocations.sweep()
    assert [["a", "b", "c"], ["d"], ["e"]] == kept.asked


def test_unchanged_revoked_ids_are_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four times a second, in every worker."""
    monkeypatch.setattr(state, "revoked", LimitedSet(data=["a", "b"]))
    revocations = Revocations(Kept())  # type: ignore[arg-type]
    revocations.sweep()
    monkeypatch.setattr(
        "aiki_celery.celery_binding.revocations._ids", lambda: pytest.fail("they were copied")
    )
    revocations.sweep()


def test_revoked_ids_that_an_error_kept_are_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until it was done."""
    monkeypatch.setattr(state, "revoked", LimitedSet(data=["a"]))
    kept = Kept()
    revocations = Revocations(kept)  # type: ignore[arg-type]
    kept.fails = True
    with pytest.raises(RuntimeError, match="away"):
        revocations.sweep()
    kept.fails = False
    revocations.sweep()
    revocations.sweep()
    assert [["a"], ["a"]] == kept.asked


def test_tags_are_several() -> None:
    """One text is not taken for its letters."""
    with pytest.raises(InputInvalid, match=r"here-doubling: argument 'tags': a list of words is expected"):
        doubling.options(tags="abc")  # type: ignore[arg-type]
