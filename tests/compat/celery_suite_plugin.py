"""Pytest plugin for Celery's own suite: writes one outcome per test, and installs Aiki where asked to.

The environment tells what to do, so that the suite itself stays untouched:

- ``CELERY_SUITE_REPORT``: the file that receives one JSON line per test.
- ``CELERY_SUITE_SHARE``: ``"0/3"`` runs every third test, from the first on.
- ``CELERY_SUITE_JOURNAL``: SQLAlchemy URL; when set, each app of the suite's fixtures has ``Aiki(app, ...)``.
"""

import json
import os
from typing import Any

import pytest
from celery.contrib.testing import app as testing_app

REPORT = os.environ["CELERY_SUITE_REPORT"]
SHARE, SHARES = map(int, os.environ.get("CELERY_SUITE_SHARE", "0/1").split("/"))
JOURNAL = os.environ.get("CELERY_SUITE_JOURNAL")

# The apps that have Aiki, so that the report can show that it was really there.
apps_with_aiki: list[int] = []

SEVERITY = ("passed", "skipped", "xfailed", "xpassed", "failed", "error")


class Outcomes:
    """Collects the phases of a test and writes its worst outcome once it is torn down."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.phases: dict[str, list[pytest.TestReport]] = {}
        self.reruns: dict[str, int] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        phases = self.phases.setdefault(report.nodeid, [])
        phases.append(report)
        if report.when != "teardown":
            return
        del self.phases[report.nodeid]
        if any(phase.outcome == "rerun" for phase in phases):
            self.reruns[report.nodeid] = self.reruns.get(report.nodeid, 0) + 1
        else:
            self.write(report.nodeid, phases)

    def write(self, test: str, phases: list[pytest.TestReport]) -> None:
        worst = max(phases, key=lambda phase: SEVERITY.index(outcome_of(phase)))
        row = {
            "test": test,
            "outcome": outcome_of(worst),
            "seconds": round(sum(phase.duration for phase in phases), 3),
            "reruns": self.reruns.get(test, 0),
            "apps_with_aiki": len(apps_with_aiki),
            "why": "" if worst.outcome == "passed" else last_line(worst.longreprtext or str(worst.longrepr)),
        }
        with open(self.path, "a") as file:
            file.write(json.dumps(row) + "\n")


def outcome_of(report: pytest.TestReport) -> str:
    if hasattr(report, "wasxfail"):
        return "xfailed" if report.skipped else "xpassed"
    if report.failed and report.when != "call":
        return "error"
    return report.outcome


def last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")[:300]


def install_aiki(journal: str) -> None:
    """Make Celery's test-app factory, which the suite's app fixtures call, add Aiki to what it returns."""
    from aiki_celery import Aiki

    plain = testing_app.TestApp

    def with_aiki(*args: Any, **kwargs: Any) -> Any:
        app = plain(*args, **kwargs)
        Aiki(app, journal=journal)
        apps_with_aiki.append(id(app))
        return app

    testing_app.TestApp = with_aiki


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    deselected = [item for number, item in enumerate(items) if number % SHARES != SHARE]
    config.hook.pytest_deselected(items=deselected)
    items[:] = items[SHARE::SHARES]


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Outcomes(REPORT))
    if JOURNAL:
        install_aiki(JOURNAL)
