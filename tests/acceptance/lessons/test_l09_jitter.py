"""L9: jitter is drawn after the cap, so that delays stay spread out where the cap is reached."""

from __future__ import annotations

import random

from aiki_celery import Retry
from aiki_celery.engine.retrying import delay_after
from aiki_celery.model.records import StepRecord
from aiki_celery.model.status import StepKind, StepStatus

CAP = 10.0
DRAWS = 2000


def failed_attempts(number: int) -> list[StepRecord]:
    """What a step that failed so often has recorded."""
    kind, status = StepKind.ATTEMPT, StepStatus.FAILED
    return [
        StepRecord(n, kind, "charge", "charge:1", status, n, 1, 1_000_000, 1_000_000, due_at=1_000_000)
        for n in range(1, number + 1)
    ]


def share_of_equal(delays: list[float]) -> float:
    """How many of them are the same as the most frequent one."""
    return max(delays.count(delay) for delay in set(delays)) / len(delays)


def test_drawing_before_the_cap_makes_a_herd() -> None:
    """The fault: far above the cap, nearly every drawn delay is cut to the same value."""
    drawn = [min(random.uniform(0, 1.0 * 2**8), CAP) for _ in range(DRAWS)]
    assert share_of_equal(drawn) > 0.9


def test_delays_near_the_cap_differ() -> None:
    """Two thousand runs at their ninth attempt: no two wait equally long, and all of the range is used."""
    policy = Retry.jittered(max_attempts=50, base_delay=1.0, max_delay=CAP)
    drawn = [delay_after(policy, ConnectionError(), failed_attempts(8), 0, 2_000_000) for _ in range(DRAWS)]
    delays = [delay for delay in drawn if delay is not None]
    assert DRAWS == len(delays)
    assert share_of_equal(delays) < 0.01
    assert 0 <= min(delays) < 0.1 * CAP
    assert 0.9 * CAP < max(delays) <= CAP
    assert 0.45 * CAP < sum(delays) / DRAWS < 0.55 * CAP
