"""Deciding on a retry from journaled facts."""

from __future__ import annotations

import pytest
from tenacity import (
    retry_if_exception_type,
    retry_if_result,
    stop_after_attempt,
    stop_after_delay,
    stop_before_delay,
    wait_fixed,
)

from aiki_celery.definitions.retry import Retry
from aiki_celery.engine.retrying import delay_after, is_result_refused
from aiki_celery.errors import Fatal, NotJournalable, RetryAfter
from aiki_celery.model.clock import LONGEST
from aiki_celery.model.records import StepRecord
from aiki_celery.model.status import StepKind, StepStatus

SECOND = 1_000_000
START = 1_700_000_000 * SECOND


def failed(count: int, gap: int = 10) -> list[StepRecord]:
    """So many failed attempts, one each `gap` seconds, as the journal has them after a crash."""
    return [
        StepRecord(
            seq=number + 1,
            kind=StepKind.ATTEMPT,
            name="charge",
            address="charge:1",
            status=StepStatus.FAILED,
            attempt=number + 1,
            epoch=1,
            started_at=START + number * gap * SECOND,
            finished_at=START + number * gap * SECOND + SECOND,
            due_at=START + (number + 1) * gap * SECOND,
        )
        for number in range(count)
    ]


def decide(policy: Retry, error: BaseException, earlier: int = 0, gap: int = 10) -> float | None:
    """The delay after an attempt that began when the last one's delay was over, and took a second."""
    began = START + earlier * gap * SECOND
    return delay_after(policy, error, failed(earlier, gap), began, began + SECOND)


def test_attempts_are_counted_from_the_journal() -> None:
    """Attempts of earlier processes count; the fourth of four is the last."""
    policy = Retry.exponential(4, 1.0)
    assert [1.0, 2.0, 4.0, None] == [decide(policy, ValueError(), earlier) for earlier in range(4)]


def test_never_gives_up_at_once() -> None:
    """The default policy has one attempt."""
    assert None is decide(Retry.never(), ValueError())


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ConnectionError(), 1.0),
        (ConnectionResetError(), 1.0),
        (BrokenPipeError(), None),
        (ValueError(), None),
        (KeyboardInterrupt(), None),
    ],
)
def test_retry_on_and_give_up_on_decide_by_type(error: BaseException, expected: float | None) -> None:
    """Only what is listed is retried, subclasses included; what is excepted from that is not."""
    policy = Retry.fixed(3, 1, retry_on=[ConnectionError], give_up_on=[BrokenPipeError])
    assert expected == decide(policy, error)


def test_fatal_is_never_retried() -> None:
    """Whatever the policy says, also one of tenacity's own."""
    policies = (Retry.fixed(3, 1), Retry(retry=retry_if_exception_type(Exception)))
    assert [None, None] == [decide(policy, Fatal("no")) for policy in policies]


def test_value_that_cannot_be_journaled_is_never_retried() -> None:
    """Trying again would run the side effect again and end the same way."""
    assert None is decide(Retry.fixed(3, 1), NotJournalable("charge", "the result", "no"))


def test_retry_after_sets_the_delay_and_costs_an_attempt() -> None:
    """The task says how long to wait; the policy says how often."""
    policy = Retry.fixed(3, 1)
    assert [7.5, 7.5, None] == [decide(policy, RetryAfter(7.5), earlier) for earlier in range(3)]


def test_retry_after_of_a_negative_time_is_at_once() -> None:
    """No delay is negative."""
    assert 0.0 == decide(Retry.fixed(3, 1), RetryAfter(-5))


def test_stop_after_delay_counts_from_the_first_attempt() -> None:
    """Time that passed before a crash counts: half a minute is over at the end of the fourth attempt."""
    policy = Retry(stop=stop_after_delay(30), wait=wait_fixed(10))
    assert [10.0, 10.0, 10.0, None] == [decide(policy, ValueError(), earlier) for earlier in range(4)]


def test_stop_before_delay_knows_the_delay_drawn() -> None:
    """The wait is asked before the stop, as in tenacity's own loop."""
    policy = Retry(stop=stop_before_delay(15), wait=wait_fixed(10))
    assert [10.0, None] == [decide(policy, ValueError(), earlier) for earlier in range(2)]


def test_strategies_combined_decide_together() -> None:
    """Whichever of two stops comes first ends it."""
    policy = Retry(stop=stop_after_delay(1000) | stop_after_attempt(2), wait=wait_fixed(1) + wait_fixed(2))
    assert [3.0, None] == [decide(policy, ValueError(), earlier) for earlier in range(2)]


@pytest.mark.parametrize(("result", "refused"), [("pending", True), ("done", False)])
def test_retry_if_result_judges_results(result: str, refused: bool) -> None:
    """A result may be refused as an error is, and the refusal is retried by the same strategy's leave."""
    policy = Retry(stop=stop_after_attempt(3), retry=retry_if_result(lambda value: value == "pending"))
    assert refused == is_result_refused(policy, result, [], START, START + SECOND)


def test_policies_of_errors_alone_do_not_judge_results() -> None:
    """Without a strategy of one's own, every result is welcome."""
    assert not is_result_refused(Retry.fixed(3, 1), None, [], START, START)


@pytest.mark.parametrize(
    ("asked", "given"), [(1e15, LONGEST), (float("inf"), LONGEST), (float("nan"), 0.0), (-1.0, 0.0)]
)
def test_delay_is_one_that_the_journal_can_keep(asked: float, given: float) -> None:
    """Whether the task asks for it or the policy: nothing overflows, and the attempt is not lost."""
    by_task = decide(Retry(stop=stop_after_attempt(3)), RetryAfter(asked))
    by_policy = decide(Retry(stop=stop_after_attempt(3), wait=wait_fixed(asked)), ValueError("no"))
    assert (given, given) == (by_task, by_policy)
