"""How long a caller waits for a run."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from aiki_celery.definitions.patience import SHORTEST, Patience
from aiki_celery.model.status import RunStatus

RUN: Any = type("Run", (), {"id": "r", "workflow": "w", "status": RunStatus.QUEUED, "reason": None})()


@pytest.mark.parametrize("timeout", [None, 60, 60.5, timedelta(minutes=1), timedelta.max, 1e12])
def test_time_is_left(timeout: timedelta | float | None) -> None:
    """A `timedelta`, seconds, or for ever."""
    assert SHORTEST == Patience(timeout).pause(RUN)


@pytest.mark.parametrize("timeout", [0, -1, timedelta(0), timedelta(seconds=-1)])
def test_time_is_over(timeout: timedelta | float) -> None:
    """At once, if it is none."""
    with pytest.raises(TimeoutError, match=r"run r of w is queued after -?\d s"):
        Patience(timeout).pause(RUN)
