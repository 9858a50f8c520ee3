"""What a run starts while it is done in the caller's own process: done here too, one after the other."""

from __future__ import annotations

import heapq
import time
from collections import deque
from collections.abc import Sequence

from aiki_celery.celery_binding.adopted.here import run_here
from aiki_celery.celery_binding.binding import Binding
from aiki_celery.definitions.registry import registry
from aiki_celery.engine.outcome import Outcome
from aiki_celery.engine.ports import Forever
from aiki_celery.model.clock import MICROSECOND
from aiki_celery.model.records import Envelope
from aiki_celery.model.status import RunKind, RunStatus

#: Longest pause while waiting for what a worker has taken from us, in seconds.
LOOK_AGAIN = 0.25

#: Most runs that one run may have started with a delay and not yet begun.
MOST_DELAYED = 100_000


class InlineHouse:
    """Keeps what would have been messages, and does what they ask for.

    Args:
        binding: The application and its journal.
        run_id: The run.
    """

    def __init__(self, binding: Binding, run_id: str) -> None:
        self._binding = binding
        self._parents = {run_id}
        self._planned: set[str] = set()
        self._queue: deque[str] = deque()
        self._sleeping: list[tuple[int, str]] = []

    def publish(self, envelopes: Sequence[Envelope]) -> None:
        """Keep what is to be done."""
        self._queue.extend(envelope.run_id for envelope in envelopes)

    def run_until_queued(self, run_id: str) -> None:
        """Do what was started until this run, which waits for it, can go on."""
        while True:
            while self._queue:
                next_id = self._queue.popleft()
                if next_id == run_id:
                    return
                self._do(next_id)
            self._plan()
            if self._sleeping:
                self._wake_next()
            elif self._binding.journal.views.status(run_id) is None or self._is_queued(run_id):
                return
            else:
                time.sleep(LOOK_AGAIN)  # a worker has taken a part of it

    def run_until(self, due_at: int) -> None:
        """Do what was started until an instant in microseconds, then wait for it."""
        self._plan()
        while self._queue or (self._sleeping and self._sleeping[0][0] <= due_at):
            if self._queue:
                self._do(self._queue.popleft())
            else:
                self._wake_next()
        self._sleep_until(due_at)

    def run_the_rest(self) -> None:
        """Do what was started and not waited for."""
        self._plan()
        while self._queue or self._sleeping:
            if self._queue:
                self._do(self._queue.popleft())
            else:
                self._wake_next()

    def _plan(self) -> None:
        """Look what was started with a delay: nothing is sent for that before its time."""
        for parent_id in self._parents:
            for run in self._binding.journal.views.find(
                statuses=[RunStatus.SCHEDULED], parent_id=parent_id, limit=MOST_DELAYED
            ):
                if run.due_at is not None and run.id not in self._planned:
                    self._planned.add(run.id)
                    heapq.heappush(self._sleeping, (run.due_at, run.id))

    def _do(self, run_id: str) -> None:
        binding = self._binding
        taken = binding.executor.claim(run_id, binding.process.owner_here())
        if taken is None:
            return
        claim, steps = taken
        if claim.kind is RunKind.WORKFLOW:
            self._parents.add(run_id)  # nothing else starts runs
        outcome: Outcome | None = None
        if claim.kind.is_celery_task:
            run_here(binding, claim, self.publish)
        elif claim.kind is RunKind.STEP and (task := registry.task(claim.workflow)) is not None:
            outcome = binding.executor.run_step(task, claim, steps, Forever(), publish=self.publish)
        elif (workflow := registry.workflow(claim.workflow, claim.version)) is not None:
            outcome = binding.executor.run(workflow, claim, steps, Forever(), told=True, publish=self.publish)
        if outcome is not None and outcome.due_at is not None:
            heapq.heappush(self._sleeping, (outcome.due_at, run_id))

    def _wake_next(self) -> None:
        due_at, run_id = heapq.heappop(self._sleeping)
        self._sleep_until(due_at)
        self._do(run_id)

    def _sleep_until(self, due_at: int) -> None:
        clock = self._binding.clock
        if clock is not None:
            clock.sleep(max(0, due_at - clock.now()) / MICROSECOND)
            return
        while (left := due_at - self._binding.journal.now()) > 0:
            time.sleep(left / MICROSECOND + 0.0005)

    def _is_queued(self, run_id: str) -> bool:
        """Tell whether a run that waited is waiting no more."""
        status = self._binding.journal.views.status(run_id)
        return status is not None and not status.value.startswith("awaiting")
