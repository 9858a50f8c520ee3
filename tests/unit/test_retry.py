"""Retry policies: their values, their forms, and what tenacity makes of them."""

from __future__ import annotations

import random
from datetime import timedelta
from statistics import mean
from typing import Any

import pytest
import tenacity
from tenacity import stop_after_attempt, stop_after_delay, wait_fixed, wait_random

from aiki_celery.definitions.retry import Retry
from aiki_celery.errors import DefinitionInvalid

DRAWS = 2_000


def state(attempt: int, policy: Retry) -> tenacity.RetryCallState:
    """A call that has failed so many times."""
    retrying = tenacity.Retrying(stop=policy.stop, wait=policy.wait)
    made = tenacity.RetryCallState(retry_object=retrying, fn=None, args=(), kwargs={})
    made.attempt_number = attempt
    return made


def delays(policy: Retry, attempts: int) -> list[float]:
    """The delays after attempts 1, 2, ..."""
    return [float(policy.wait(state(attempt, policy))) for attempt in range(1, attempts + 1)]


def stops(policy: Retry, attempts: int) -> list[bool]:
    """Whether the policy gives up after attempts 1, 2, ..."""
    return [bool(policy.stop(state(attempt, policy))) for attempt in range(1, attempts + 1)]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (Retry.fixed(5, 2.5), [2.5, 2.5, 2.5, 2.5]),
        (Retry.fixed(5, timedelta(minutes=1)), [60.0] * 4),
        (Retry.exponential(9, 1.0, max_delay=30.0), [1, 2, 4, 8, 16, 30, 30, 30]),
        (Retry.exponential(5, 0.5, 3.0), [0.5, 1.5, 4.5, 13.5]),
        (Retry.exponential(4, 10, 1, 5), [5, 5, 5]),
        (Retry.exponential(3, timedelta(seconds=2), max_delay=timedelta(seconds=3)), [2, 3]),
    ],
)
def test_delay_follows_the_formula(policy: Retry, expected: list[float]) -> None:
    """`delay`, or `min(base * factor ** (a - 1), max)` after attempt a."""
    assert expected == pytest.approx(delays(policy, len(expected)))


def test_delay_far_out_is_the_longest() -> None:
    """A factor to the power of thousands is no error."""
    policy = Retry.exponential(100_000, 1.0, 10.0, 60.0)
    assert 60.0 == policy.wait(state(50_000, policy))


@pytest.mark.parametrize(
    ("policy", "attempts"), [(Retry.never(), 1), (Retry.fixed(3, 0), 3), (Retry.jittered(4, 1), 4)]
)
def test_max_attempts_counts_the_first_one(policy: Retry, attempts: int) -> None:
    """After the last attempt the policy gives up, not before."""
    assert [False] * (attempts - 1) + [True] == stops(policy, attempts)


def test_jitter_is_drawn_after_the_cap() -> None:
    """Near the cap, delays spread over all of it; capped after the draw, they would be a herd at the cap."""
    random.seed(7)
    policy = Retry.jittered(20, 1.0, max_delay=10.0)
    drawn = [float(policy.wait(state(12, policy))) for _ in range(DRAWS)]
    capped_late = [min(random.uniform(0, 2.0**11), 10.0) for _ in range(DRAWS)]
    assert drawn.count(10.0) < DRAWS // 100 < 97 * DRAWS // 100 < capped_late.count(10.0)
    assert (0 <= min(drawn) < 0.5, 9.5 < max(drawn) <= 10.0) == (True, True)
    assert 5.0 == pytest.approx(mean(drawn), abs=0.5)


def test_jitter_below_the_cap_is_full() -> None:
    """After attempt 3 of base 1, delays are drawn from zero to four."""
    random.seed(7)
    policy = Retry.jittered(20, 1.0, max_delay=100.0)
    drawn = [float(policy.wait(state(3, policy))) for _ in range(DRAWS)]
    assert (0 <= min(drawn) < 0.2, 3.8 < max(drawn) <= 4.0) == (True, True)
    assert 2.0 == pytest.approx(mean(drawn), abs=0.2)


@pytest.mark.parametrize(
    ("data", "same"),
    [
        (None, Retry.never()),
        ({"type": "never"}, Retry.never()),
        ({"type": "fixed", "max_attempts": 3, "delay": 2}, Retry.fixed(3, 2)),
        (
            {"type": "exponential", "max_attempts": 3, "base_delay": 2, "factor": 3},
            Retry.exponential(3, 2, 3),
        ),
        (
            {"type": "jittered", "max_attempts": 3, "base_delay": 2, "max_delay": 9},
            Retry.jittered(3, 2, max_delay=9),
        ),
    ],
)
def test_plain_data_makes_the_same_policy(data: Any, same: Retry) -> None:
    """A policy may come from a setting, as data."""
    assert same.plan == Retry.parse(data).plan


def test_parse_of_a_policy_is_that_policy() -> None:
    """What is a policy already stays it."""
    policy = Retry.fixed(2, 1)
    assert policy is Retry.parse(policy)


def test_policy_round_trips_through_plain_data() -> None:
    """The plan of a policy, as data, makes the policy again."""
    policy = Retry.jittered(4, 1.5, 3, 60)
    assert policy.plan is not None
    assert policy.plan == Retry.parse(policy.plan.model_dump(mode="json")).plan


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"type": "sometimes"}, "sometimes.*never.*fixed.*exponential.*jittered"),
        ({}, "type"),
        ({"type": "fixed", "max_attempts": 0, "delay": 1}, "max_attempts.*greater than or equal to 1"),
        ({"type": "fixed", "max_attempts": 2}, "delay.*[Ff]ield required"),
        ({"type": "fixed", "max_attempts": 2, "delay": -1}, "delay.*greater than or equal to 0"),
        ({"type": "never", "delay": 1}, "delay.*not permitted"),
        ({"type": "exponential", "max_attempts": 2, "base_delay": 1, "factor": 0.5}, "factor"),
    ],
)
def test_bad_data_is_refused_with_the_reason(data: dict[str, Any], message: str) -> None:
    """The error shows the data and what is wrong with it."""
    with pytest.raises(DefinitionInvalid, match=f"(?s)retry policy.*{message}"):
        Retry.parse(data)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Retry.fixed(0, 1),
        lambda: Retry.fixed(3, -1),
        lambda: Retry.fixed(3, "soon"),  # type: ignore[arg-type]
        lambda: Retry.exponential(3, float("nan")),
        lambda: Retry(stop=3),  # type: ignore[arg-type]
        lambda: Retry(wait=1.0),  # type: ignore[arg-type]
        lambda: Retry.fixed(3, 1, retry_on=["ValueError"]),  # type: ignore[list-item]
        lambda: Retry.fixed(3, 1, give_up_on=[int]),  # type: ignore[list-item]
    ],
)
def test_bad_arguments_are_refused(make: Any) -> None:
    """Values that cannot work are refused when the policy is made."""
    with pytest.raises(DefinitionInvalid):
        make()


def test_endless_delays_are_refused() -> None:
    """By their names."""
    with pytest.raises(
        DefinitionInvalid, match="retry policy: max_delay: a duration must be 1,000 years at most"
    ):
        Retry.exponential(3, 1, max_delay=timedelta.max)


def test_tenacity_strategies_combine() -> None:
    """Any of tenacity's stops and waits will do, combined by its own operators."""
    policy = Retry(
        stop=(stop_after_attempt(3) | stop_after_delay(60)) & stop_after_attempt(2),
        wait=wait_fixed(2) + wait_random(0, 1),
    )
    calls = [state(attempt, policy) for attempt in (1, 2, 3)]
    for call, seconds in zip(calls, (90.0, 61.0, 3.0), strict=True):
        call.start_time, call.outcome_timestamp = 0.0, seconds
    assert [False, True, True] == [bool(policy.stop(call)) for call in calls]
    assert all(2 <= policy.wait(calls[0]) <= 3 for _ in range(100))


def test_built_in_policies_are_tenacity_strategies() -> None:
    """They can be taken apart and used in a `Retrying` of one's own."""
    policy = Retry.fixed(3, 0)
    tries: list[int] = []
    retrying = tenacity.Retrying(stop=policy.stop, wait=policy.wait, retry=policy.retry)
    with pytest.raises(tenacity.RetryError):
        retrying(lambda: tries.append(1) or 1 / 0)
    assert 3 == len(tries)
