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
from aiki_celery.model.status import TIMED, RunKind, RunStatus

#: Longest pause between two looks at what others do: a worker that has taken a part from us, somebody who sends an
#: event; in seconds.
LOOK_AGAIN = 0.25

#: States in which a run may be woken from outside.
LISTENING = frozenset({RunStatus.AWAITING_EVENT, RunStatus.AWAITING_STEPS})

#: States that end by themselves or by hand: somebody may cancel, resume or wake the run.
RESTING = frozenset({RunStatus.SLEEPING, RunStatus.AWAITING_RETRY, RunStatus.PAUSED})

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
        self._run_id = run_id
        #: Workflow runs that had a pass since we looked what they had started; nothing else starts any.
        self._passed: set[str] = set()
        self._planned: set[str] = set()
        self._queue: deque[str] = deque()
        self._sleeping: list[tuple[int, str]] = []
        self._due: dict[str, int] = {}
        self._listening: set[str] = set()
        self._resting: set[str] = set()
        self._looked_at = 0.0

    def publish(self, envelopes: Sequence[Envelope]) -> None:
        """Keep what is to be done."""
        self._queue.extend(envelope.run_id for envelope in envelopes)

    def run_until_queued(self, run_id: str, due_at: int | None = None) -> None:
        """Do what was started until this run, which waits for it or for an event, can go on.

        Args:
            run_id: The run.
            due_at: When it goes on in any case, in microseconds.
        """
        self._passed.add(run_id)
        while True:
            while self._queue:
                next_id = self._queue.popleft()
                if next_id == run_id:
                    return
                self._do(next_id)
            self._plan()
            self._find_woken()
            if self._queue:
                continue
            if not self._waits(run_id):
                return
            nearest = self._next()
            if due_at is not None and (nearest is None or due_at <= nearest[0]):
                if self._rest_until(due_at):
                    return
            elif nearest is None:
                time.sleep(LOOK_AGAIN)  # for a worker that has taken a part of it, or for an event
            elif self._rest_until(nearest[0]):
                self._do(nearest[1])

    def run_the_rest(self) -> None:
        """Do what was started and not waited for; what waits for an event alone is left for workers."""
        self._passed.add(self._run_id)
        while True:
            while self._queue:
                self._do(self._queue.popleft())
            self._plan()
            self._find_woken()
            if self._queue:
                continue
            nearest = self._next()
            if nearest is None:
                return
            if self._rest_until(nearest[0]):
                self._do(nearest[1])

    def _plan(self) -> None:
        """Look what was started with a delay: nothing is sent for that before its time."""
        while self._passed:
            parent_id = self._passed.pop()
            for run in self._binding.journal.views.find(
                statuses=[RunStatus.SCHEDULED], parent_id=parent_id, limit=MOST_DELAYED
            ):
                if run.due_at is not None and run.id not in self._planned:
                    self._planned.add(run.id)
                    self._sleep(run.id, run.due_at)

    def _do(self, run_id: str) -> None:
        binding = self._binding
        self._due.pop(run_id, None)
        self._listening.discard(run_id)
        self._resting.discard(run_id)
        taken = binding.executor.claim(run_id, binding.process.owner_here())
        if taken is None:
            return
        claim, steps = taken
        if claim.kind is RunKind.WORKFLOW:
            self._passed.add(run_id)
        outcome: Outcome | None = None
        if claim.kind.is_celery_task:
            run_here(binding, claim, self.publish)
        elif claim.kind is RunKind.STEP and (task := registry.task(claim.workflow)) is not None:
            outcome = binding.executor.run_step(task, claim, steps, Forever(), publish=self.publish)
        elif (workflow := registry.workflow(claim.workflow, claim.version)) is not None:
            outcome = binding.executor.run(workflow, claim, steps, Forever(), told=True, publish=self.publish)
        if outcome is None:
            return
        if outcome.due_at is not None:
            self._sleep(run_id, outcome.due_at)
        if outcome.status in LISTENING:
            self._listening.add(run_id)
        if outcome.status in RESTING:
            self._resting.add(run_id)

    def _sleep(self, run_id: str, due_at: int) -> None:
        self._due[run_id] = due_at
        heapq.heappush(self._sleeping, (due_at, run_id))

    def _next(self) -> tuple[int, str] | None:
        """Give what is due next, and when: of those that sleep still, as events may have woken some before."""
        while self._sleeping and self._due.get(self._sleeping[0][1]) != self._sleeping[0][0]:
            heapq.heappop(self._sleeping)
        return self._sleeping[0] if self._sleeping else None

    def _find_woken(self) -> None:
        """Look for those that somebody outside has sent what they waited for."""
        woken = [run_id for run_id in self._listening if not self._waits(run_id)]
        if time.monotonic() - self._looked_at >= LOOK_AGAIN:
            self._looked_at = time.monotonic()
            woken += [run_id for run_id in self._resting if not self._waits(run_id)]
        self._listening.difference_update(woken)
        self._resting.difference_update(woken)
        self._queue.extend(woken)

    def _rest_until(self, due_at: int) -> bool:
        """Wait for an instant, or for a moment, whichever is sooner; tell whether the instant has come."""
        clock = self._binding.clock
        if clock is not None:
            clock.sleep(max(0, due_at - clock.now()) / MICROSECOND)
            return True
        left = (due_at - self._binding.journal.now()) / MICROSECOND
        if left > LOOK_AGAIN:
            time.sleep(LOOK_AGAIN)
            return False
        if left > 0:
            time.sleep(left + 0.0005)
            return self._binding.journal.now() >= due_at
        return True

    def _waits(self, run_id: str) -> bool:
        """Tell whether a run is waiting still."""
        status = self._binding.journal.views.status(run_id)
        return status in TIMED or status is RunStatus.PAUSED
