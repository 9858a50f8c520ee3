"""L13: after ten hours of downtime, what was missed is caught up within its bound, and not all at once."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from sqlalchemy import create_engine, text

from aiki_celery import RunStatus
from tests.acceptance.conftest import Lab
from tests.acceptance.lessons.conftest import APP
from tests.acceptance.lessons.definitions import count
from tests.harness.eventually import eventually

TEN_MINUTES = timedelta(minutes=10)

#: Of each schedule, which starts a run every ten minutes and allows overlap: what it catches up, and how many that are.
WINDOWS = {
    "unbounded": (timedelta(hours=11), 60),
    "bounded": (timedelta(minutes=35), 3),
    "default": (None, 1),
}


def test_ten_hours_of_downtime_do_not_start_every_occurrence(embedded_lab: Lab) -> None:
    """Without a bound it would be sixty runs at once; with one of 35 minutes it is three, by default the latest."""
    lab = embedded_lab
    for name, (window, _) in WINDOWS.items():
        lab.aiki.schedules.create(
            count, name=name, every=TEN_MINUTES, overlap="allow", catchup_window=window, args=(1, 0.0)
        )
    was_down(lab)
    lab.start_worker(APP, pool="threads", concurrency=4)

    def started(name: str) -> int:
        return len(lab.aiki.journal.views.find(schedule=name, limit=1000))

    def completed() -> bool:
        return all(
            run.status is RunStatus.COMPLETED
            for name in WINDOWS
            for run in lab.aiki.journal.views.find(schedule=name, limit=1000)
        )

    eventually(lambda: is_caught_up(lab) and completed(), 40, "the end of all that was missed")
    # A due time more, should one have come in the meantime.
    wrong = {name: started(name) for name, (_, few) in WINDOWS.items() if not few <= started(name) <= few + 1}
    assert {} == wrong
    skipped = lab.aiki.schedules.get("default").last_skip
    assert skipped is not None
    assert skipped.last - skipped.first >= timedelta(hours=9)


def was_down(lab: Lab) -> None:
    """Puts every next due time ten hours back, as if nobody had been there since."""
    engine = create_engine(lab.journal)
    back = 10 * 3600 * 1_000_000
    with engine.begin() as connection:
        connection.execute(
            text(f"UPDATE aiki_schedules SET due_at = due_at - {back}, fires_at = fires_at - {back}")
        )
    engine.dispose()


def is_caught_up(lab: Lab) -> bool:
    """Whether the next due times lie ahead."""
    now = datetime.now(timezone.utc)
    return all(view.next_due_at is not None and view.next_due_at > now for view in lab.aiki.schedules.list())
