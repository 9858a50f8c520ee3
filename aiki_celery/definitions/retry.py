"""Retry policies. Each is three tenacity strategies, whether it was made from a short name, plain data or strategies.

Decisions are made by the engine without tenacity's loop, from journaled facts; see ``engine/retrying.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Annotated, Any, Literal

import tenacity
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from tenacity.retry import retry_base
from tenacity.stop import stop_base
from tenacity.wait import wait_base

from aiki_celery.definitions.values import first_message
from aiki_celery.errors import DefinitionInvalid, RetryAfter
from aiki_celery.model.clock import to_seconds

Stop = stop_base | Callable[[tenacity.RetryCallState], bool]
Wait = wait_base | Callable[[tenacity.RetryCallState], "float | int"]
RetryIf = retry_base | Callable[[tenacity.RetryCallState], bool]
Errors = Sequence[type[Exception]]

#: Longest delay of a policy without ``max_delay``, in seconds: one day.
DEFAULT_MAX_DELAY = 86_400.0

_Attempts = Annotated[int, Field(ge=1, le=1_000_000)]
_Seconds = Annotated[float, Field(ge=0, le=31_536_000)]


class _Plan(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class NeverPlan(_Plan):
    """One attempt."""

    type: Literal["never"] = "never"

    def strategies(self) -> tuple[Stop, Wait]:
        """Give tenacity's stop and wait."""
        return tenacity.stop_after_attempt(1), tenacity.wait_none()


class FixedPlan(_Plan):
    """``delay`` seconds between attempts."""

    type: Literal["fixed"] = "fixed"
    max_attempts: _Attempts
    delay: _Seconds

    def strategies(self) -> tuple[Stop, Wait]:
        """Give tenacity's stop and wait."""
        return tenacity.stop_after_attempt(self.max_attempts), tenacity.wait_fixed(self.delay)


class ExponentialPlan(_Plan):
    """``min(base_delay * factor ** (a - 1), max_delay)`` seconds after attempt ``a``."""

    type: Literal["exponential"] = "exponential"
    max_attempts: _Attempts
    base_delay: _Seconds
    factor: Annotated[float, Field(ge=1)] = 2.0
    max_delay: _Seconds = DEFAULT_MAX_DELAY

    def strategies(self) -> tuple[Stop, Wait]:
        """Give tenacity's stop and wait."""
        wait = tenacity.wait_exponential(multiplier=self.base_delay, exp_base=self.factor, max=self.max_delay)
        return tenacity.stop_after_attempt(self.max_attempts), wait


class JitteredPlan(ExponentialPlan):
    """A draw from ``uniform(0, min(base_delay * factor ** (a - 1), max_delay))`` seconds after attempt ``a``.

    Capped first, then drawn ("full jitter"), so delays stay spread out near the cap.
    """

    type: Literal["jittered"] = "jittered"  # type: ignore[assignment]

    def strategies(self) -> tuple[Stop, Wait]:
        """Give tenacity's stop and wait."""
        wait = tenacity.wait_random_exponential(
            multiplier=self.base_delay, exp_base=self.factor, max=self.max_delay
        )
        return tenacity.stop_after_attempt(self.max_attempts), wait


Plan = Annotated[NeverPlan | FixedPlan | ExponentialPlan | JitteredPlan, Field(discriminator="type")]
_PLAN: TypeAdapter[Any] = TypeAdapter(Plan)


class Retry:
    """A retry policy: when to stop, how long to wait, which errors to retry, as tenacity strategies.

    ``Retry(stop=stop_after_delay(60) | stop_after_attempt(9), wait=wait_fixed(1) + wait_random(0, 1))`` takes any
    tenacity strategy. :meth:`never`, :meth:`fixed`, :meth:`exponential` and :meth:`jittered` are the common ones;
    :meth:`parse` makes them from plain data such as a setting.

    Args:
        stop: When to give up; defaults to never giving up.
        wait: Seconds until the next attempt; defaults to none.
        retry: Whether an outcome is to be retried; defaults to any ``Exception``.
        retry_on: Only these exceptions are retried, and ``RetryAfter``.
        give_up_on: These exceptions are never retried.

    Raises:
        DefinitionInvalid: An argument is not callable, or not an exception type.
    """

    __slots__ = ("give_up_on", "judges_results", "plan", "retry", "retry_on", "stop", "wait")

    def __init__(
        self,
        *,
        stop: Stop = tenacity.stop_never,
        wait: Wait | None = None,
        retry: RetryIf | None = None,
        retry_on: Errors = (),
        give_up_on: Errors = (),
    ) -> None:
        self.stop = _callable("stop", stop)
        self.wait = _callable("wait", wait or tenacity.wait_none())
        self.retry_on = _error_types("retry_on", retry_on)
        self.give_up_on = _error_types("give_up_on", give_up_on)
        self.retry = _callable("retry", retry or tenacity.retry_if_exception(self._is_retried))
        if retry is not None and (self.retry_on or self.give_up_on):
            raise DefinitionInvalid(
                "retry policy: give retry= or retry_on=/give_up_on=, not both; strategies combine with | and &"
            )
        self.judges_results = retry is not None
        self.plan: BaseModel | None = None

    @classmethod
    def never(cls) -> Retry:
        """One attempt: the default."""
        return cls._planned({"type": "never"})

    @classmethod
    def fixed(
        cls, max_attempts: int, delay: timedelta | float, *, retry_on: Errors = (), give_up_on: Errors = ()
    ) -> Retry:
        """``max_attempts`` in all, ``delay`` seconds apart."""
        plan = {"type": "fixed", "max_attempts": max_attempts, "delay": _seconds("delay", delay)}
        return cls._planned(plan, retry_on, give_up_on)

    @classmethod
    def exponential(
        cls,
        max_attempts: int,
        base_delay: timedelta | float,
        factor: float = 2.0,
        max_delay: timedelta | float = DEFAULT_MAX_DELAY,
        *,
        retry_on: Errors = (),
        give_up_on: Errors = (),
    ) -> Retry:
        """``max_attempts`` in all; after attempt ``a``, ``min(base_delay * factor ** (a - 1), max_delay)`` seconds."""
        plan = _backoff("exponential", max_attempts, base_delay, factor, max_delay)
        return cls._planned(plan, retry_on, give_up_on)

    @classmethod
    def jittered(
        cls,
        max_attempts: int,
        base_delay: timedelta | float,
        factor: float = 2.0,
        max_delay: timedelta | float = DEFAULT_MAX_DELAY,
        *,
        retry_on: Errors = (),
        give_up_on: Errors = (),
    ) -> Retry:
        """As :meth:`exponential`, but each delay is drawn from zero to that value, to keep many runs apart."""
        plan = _backoff("jittered", max_attempts, base_delay, factor, max_delay)
        return cls._planned(plan, retry_on, give_up_on)

    @classmethod
    def parse(cls, policy: Retry | Mapping[str, Any] | None) -> Retry:
        """Take a policy, plain data such as ``{"type": "fixed", "max_attempts": 3, "delay": 1}``, or None for never.

        Raises:
            DefinitionInvalid: The data describes no policy.
        """
        if isinstance(policy, Retry):
            return policy
        if policy is not None and not isinstance(policy, Mapping):
            raise DefinitionInvalid(
                f"retry= must be a policy such as Retry.fixed(max_attempts=3, delay=1), not {policy!r:.60}"
            )
        return cls._planned(dict(policy) if policy is not None else {"type": "never"})

    @classmethod
    def _planned(cls, data: dict[str, Any], retry_on: Errors = (), give_up_on: Errors = ()) -> Retry:
        try:
            plan = _PLAN.validate_python(data)
        except ValidationError as error:
            raise DefinitionInvalid(f"retry policy {data!r}: {first_message(error)}") from error
        stop, wait = plan.strategies()
        policy = cls(stop=stop, wait=wait, retry_on=retry_on, give_up_on=give_up_on)
        policy.plan = plan
        return policy

    def _is_retried(self, error: BaseException) -> bool:
        if not isinstance(error, Exception) or isinstance(error, self.give_up_on):
            return False
        return not self.retry_on or isinstance(error, (*self.retry_on, RetryAfter))

    def __repr__(self) -> str:
        return (
            f"Retry({self.plan!r})"
            if self.plan is not None
            else f"Retry(stop={self.stop!r}, wait={self.wait!r})"
        )


def _backoff(
    kind: str, max_attempts: int, base_delay: timedelta | float, factor: float, max_delay: timedelta | float
) -> dict[str, Any]:
    return {
        "type": kind,
        "max_attempts": max_attempts,
        "base_delay": _seconds("base_delay", base_delay),
        "factor": factor,
        "max_delay": _seconds("max_delay", max_delay),
    }


def _seconds(name: str, duration: timedelta | float) -> float:
    try:
        return to_seconds(duration)
    except (TypeError, ValueError) as error:
        raise DefinitionInvalid(f"retry policy: {name}: {error}") from error


def _callable(name: str, strategy: Any) -> Any:
    if not callable(strategy):
        raise DefinitionInvalid(f"retry policy: {name} must be a tenacity strategy, not {strategy!r}")
    return strategy


def _error_types(name: str, types: Errors) -> tuple[type[Exception], ...]:
    listed = tuple(types) if isinstance(types, (list, tuple, set, frozenset)) else (types,)
    for kind in listed:
        if not (isinstance(kind, type) and issubclass(kind, BaseException)):
            raise DefinitionInvalid(f"{name} must hold exception types, not {kind!r}")
    return listed
