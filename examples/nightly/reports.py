"""The application: a report, written each night, and one that is written each second."""

import os
from datetime import timedelta
from pathlib import Path

from celery import Celery

from aiki_celery import Aiki, WorkflowRun, schedule, task, workflow

app = Celery("nightly")
aiki = Aiki(app, journal=os.environ.get("NIGHTLY_JOURNAL", "sqlite:///nightly.sqlite3"))


@task(name="write-report")
def write_report(kind: str, due: str) -> str:
    line = f"{kind} report for {due}"
    with Path(os.environ.get("REPORTS", "reports.log")).open("a") as file:
        print(line, file=file)
    return line


@workflow(name="report", version="1.0.0")
def report(run: WorkflowRun, kind: str) -> str:
    due = run.scheduled_for or run.now()
    return write_report.run(run, kind, due.isoformat())


schedule(
    report,
    name="nightly",
    cron="30 2 * * *",
    timezone="Europe/Berlin",
    args=("nightly",),
    catchup_window=timedelta(hours=6),
)
schedule(
    report,
    name="each-second",
    every=1,
    overlap="allow",  # a second is sometimes too short for a report
    args=("short",),
    catchup_window=timedelta(minutes=1),
)
