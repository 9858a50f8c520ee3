"""What the lessons share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.acceptance.conftest import Lab
from tests.harness.eventually import eventually
from tests.harness.invariants import Findings, check_invariants

APP = "tests.acceptance.lessons.app"


@pytest.fixture
def at_rest() -> Callable[..., Findings]:
    """Waits until nobody owns anything any more, and checks every invariant."""

    def check(lab: Lab, **facts: Any) -> Findings:
        return eventually(lambda: check_invariants(lab.journal, lab.effects, **facts), 8, "a journal at rest")

    return check
