"""Publishes queued runs again whose message was lost, without amplifying a backlog that the broker still holds.

A queued run that nobody has taken for a while has lost its message, or its message waits in a long queue. The two are
told apart by counting: if the journal has more published queued runs for a queue than the broker has messages in it,
the difference is missing, and that many are published again, oldest publication first (a queue gives the oldest first,
so those are the ones overdue). Messages that a busy worker holds back for itself are missing in the same sense: an idle
worker gets the run. The broker never holds more messages than there are queued runs.

Messages of other tasks in the same queue hide missing ones. So where the broker holds more messages than there are
queued runs, a few of the oldest runs are published again once they are long overdue.
"""

from __future__ import annotations

import logging
import time

from aiki_celery.engine.sweeps.context import SweepContext

logger = logging.getLogger("aiki_celery.redelivery")

#: After so many times ``redelivery_after``, a few runs are published again if other messages may hide what is missing.
LONG_OVERDUE = 10

#: How many, in one look.
FEW = 10

#: Longest gap between two looks at a queue whose backlog is all there, in seconds.
LONGEST_LOOK = 60.0


class Redelivery:
    """The sweep, and when it last looked at queues that had nothing missing.

    Args:
        context: What every sweep is given.
    """

    def __init__(self, context: SweepContext) -> None:
        self._context = context
        self._look_again: dict[str | None, tuple[float, float]] = {}

    def sweep(self) -> int:
        """Publish again what is missing; give how many runs."""
        context = self._context
        unpublished, overdue = context.journal.deliveries.has_overdue()
        sent = 0
        if unpublished:
            runs = context.journal.deliveries.take_unpublished(
                context.definitions(), context.settings.batch_size
            )
            if runs:
                context.publish(runs)
            sent += len(runs)
        if overdue:
            sent += self._sweep_queues()
        return sent

    def stall(self) -> int:
        """Stall runs that nobody has taken for ``stalled_after``; give how many."""
        stalled = self._context.journal.deliveries.stall_undelivered(self._context.settings.stalled_after)
        if stalled:
            logger.error("%d run(s) are stalled (undelivered): no worker took them in time.", stalled)
        return stalled

    def _sweep_queues(self) -> int:
        context, sent, now = self._context, 0, time.monotonic()
        due = [queue for queue in self._queues() if self._look_again.get(queue, (0.0, 0.0))[0] <= now]
        if not due:
            return 0
        expected = context.journal.deliveries.queued_per_queue()
        for queue in due:
            missing = expected.get(queue, 0) - context.dispatcher.depth(queue)
            if missing > 0:
                sent += self._send_missing(queue, missing)
            else:
                sent += self._look_later(queue, others=missing < 0)
        return sent

    def _queues(self) -> list[str | None]:
        return list(self._context.journal.deliveries.overdue_queues())

    def _send_missing(self, queue: str | None, missing: int) -> int:
        context = self._context
        self._look_again.pop(queue, None)
        limit = min(missing, context.settings.batch_size)
        runs = context.journal.deliveries.take_overdue(context.definitions(), queue, limit)
        if runs:
            logger.warning(
                "Publishing %d run(s) of queue %s again whose message is missing.", len(runs), queue
            )
            context.publish(runs)
        return len(runs)

    def _look_later(self, queue: str | None, *, others: bool) -> int:
        """The backlog is all there, or seems so among others' messages, which are worth a few of our own."""
        context = self._context
        gap = min(2 * self._look_again.get(queue, (0.0, context.settings.poll_interval))[1], LONGEST_LOOK)
        self._look_again[queue] = (time.monotonic() + gap, gap)
        if not others:
            return 0
        age = LONG_OVERDUE * context.settings.redelivery_after
        runs = context.journal.deliveries.take_overdue(context.definitions(), queue, FEW, older_than=age)
        if runs:
            context.publish(runs)
        return len(runs)
