"""Deciding on a retry from journaled facts, by tenacity's strategies but without its loop.

tenacity keeps attempts, start time and delays in the memory of one call. Here a call's memory is the journal: the
state that a strategy looks at is rebuilt from it, so attempts, backoff and ``stop_after_delay`` survive a crash.
The strategies are asked in tenacity's own order: retry, wait, stop.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tenacity

from aiki_celery.definitions.retry import Retry
from aiki_celery.errors import AikiError, Fatal, RetryAfter, ValueRejected
from aiki_celery.model.clock import LONGEST, MICROSECOND
from aiki_celery.model.records import StepRecord


class ResultRefused(AikiError):
    """The retry policy asked for another attempt because of what the task returned, and then gave up."""

    def __init__(self, result: Any) -> None:
        super().__init__(f"the retry policy refused the result {result!r:.200}")
        self.result = result


def delay_after(
    policy: Retry, error: BaseException, failed: Sequence[StepRecord], started_at: int, now: int
) -> float | None:
    """Give the seconds until the next attempt, a thousand years at most, or None when the policy gives up.

    Args:
        policy: The policy.
        error: What the attempt raised.
        failed: The earlier attempts, as recorded.
        started_at: When this attempt began, in microseconds.
        now: When it ended, in microseconds.
    """
    if isinstance(error, (Fatal, ValueRejected)):
        return None
    state = _rebuilt(policy, failed, started_at, now)
    outcome = tenacity.Future(state.attempt_number)
    if isinstance(error, ResultRefused):
        outcome.set_result(error.result)
    else:
        outcome.set_exception(error)
    state.outcome = outcome
    if not policy.retry(state):
        return None
    delay = error.seconds if isinstance(error, RetryAfter) else float(policy.wait(state))
    state.upcoming_sleep = delay
    return None if policy.stop(state) else min(max(0.0, delay), LONGEST)


def is_result_refused(
    policy: Retry, result: Any, failed: Sequence[StepRecord], started_at: int, now: int
) -> bool:
    """Tell whether the policy's ``retry`` strategy asks for another attempt although the task returned."""
    if not policy.judges_results:
        return False
    state = _rebuilt(policy, failed, started_at, now)
    outcome = tenacity.Future(state.attempt_number)
    outcome.set_result(result)
    state.outcome = outcome
    return bool(policy.retry(state))


def _rebuilt(
    policy: Retry, failed: Sequence[StepRecord], started_at: int, now: int
) -> tenacity.RetryCallState:
    """Rebuild the state of a call. Its times are seconds, as tenacity's are, on the journal's clock."""
    state = tenacity.RetryCallState(
        retry_object=tenacity.Retrying(stop=policy.stop, wait=policy.wait, retry=policy.retry),
        fn=None,
        args=(),
        kwargs={},
    )
    first = failed[0].started_at if failed else started_at
    state.start_time = first / MICROSECOND
    state.attempt_number = len(failed) + 1
    state.outcome_timestamp = now / MICROSECOND
    state.idle_for = (
        sum(max(0, (step.due_at or step.finished_at) - step.finished_at) for step in failed) / MICROSECOND
    )
    return state
