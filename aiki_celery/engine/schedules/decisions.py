"""What a schedule is to do now: which of its due times start a run, and when the next one is."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass

from aiki_celery.model.clock import MICROSECOND
from aiki_celery.model.schedules import NewSchedule, StoredSchedule
from aiki_celery.model.timing import times_between

#: A start that is no later than this, in microseconds, is on time: nothing has to be caught up.
ON_TIME = 10 * MICROSECOND


@dataclass(frozen=True, slots=True)
class Next:
    """The next due time and when it is acted on, in microseconds; None and None when there is none."""

    due_at: int | None
    fires_at: int | None

    @property
    def pair(self) -> tuple[int | None, int | None]:
        """Both."""
        return self.due_at, self.fires_at


@dataclass(frozen=True, slots=True)
class Firing:
    """What is to be done at one moment.

    Attributes:
        times: Due times that are to start a run, in order.
        missed: The first and the last of those before them that are not.
        next: What comes after them.
    """

    times: list[int]
    missed: tuple[int, int] | None
    next: Next


def fires_at(plan: NewSchedule, due: int) -> int:
    """Give when a due time is acted on.

    The jitter is drawn from the schedule's name and the due time, so that all workers agree. It ends before the next
    due time: none is overtaken by the one after it.
    """
    if not plan.jitter:
        return due
    following = plan.times.next_after(due)
    room = plan.jitter if following is None else min(plan.jitter, following - due)
    drawn = hashlib.blake2b(f"{plan.name}/{due}".encode(), digest_size=8).digest()
    return due + room * int.from_bytes(drawn, "big") // 2**64


def next_after(plan: NewSchedule, instant: int) -> Next:
    """Give the first due time after an instant."""
    due = plan.times.next_after(instant)
    return Next(None, None) if due is None else Next(due, fires_at(plan, due))


def next_of(stored: StoredSchedule, plan: NewSchedule, now: int) -> Next:
    """Give what comes next when a schedule becomes another one: what was due stays due, unless the times are others."""
    if stored.paused_at is not None:
        return Next(None, None)
    old = stored.plan
    if stored.due_at is not None and (old.timing, old.timezone) == (plan.timing, plan.timezone):
        return Next(stored.due_at, fires_at(plan, stored.due_at))
    return next_after(plan, now)


def firing(stored: StoredSchedule, now: int, limit: int) -> Firing | None:
    """Decide what is to be done now, or None when nothing is due.

    Args:
        stored: The schedule.
        now: The instant.
        limit: Most runs at once; what is left is due at once again.
    """
    plan, first = stored.plan, stored.due_at
    if first is None or stored.fires_at is None or stored.fires_at > now:
        return None
    last = _latest_that_fires(plan, first, now)
    times = [last]
    if plan.catchup_window is not None:
        oldest = now - max(plan.catchup_window, ON_TIME)
        times = [last] if fires_at(plan, last) >= oldest else []
        if plan.overlap == "allow":
            due = times_between(plan.times, max(first, oldest - plan.jitter) - 1, last)
            # The oldest first; the rest is for the next time.
            times = list(itertools.islice((time for time in due if fires_at(plan, time) >= oldest), limit))
    before = times[0] if times else last + 1
    missed = plan.times.latest(first - 1, before - 1)
    return Firing(
        times, None if missed is None else (first, missed), next_after(plan, times[-1] if times else last)
    )


def _latest_that_fires(plan: NewSchedule, first: int, now: int) -> int:
    """Give the last due time whose moment has come; the first one's has."""
    last = plan.times.latest(first - 1, now)
    if last is not None and fires_at(plan, last) > now:
        last = plan.times.latest(first - 1, last - 1)
    # None where the first one is no due time of it any more, say because the rules of its time zone have changed.
    return first if last is None else last
