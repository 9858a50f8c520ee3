"""The laboratories of these tests, and what is asked of them again and again."""

from __future__ import annotations

import pytest

from tests.acceptance.conftest import Lab

APP = "tests.acceptance.control.app"


@pytest.fixture(params=["lab", "embedded_lab"])
def any_lab(request: pytest.FixtureRequest) -> Lab:
    """PostgreSQL with Redis, and one SQLite file."""
    found: Lab = request.getfixturevalue(request.param)
    return found


def undone(lab: Lab) -> list[str]:
    """What was undone, in order."""
    return [str(effect["what"]) for effect in lab.effects.all("undo")]
