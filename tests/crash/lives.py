"""Lives of a run: forked processes that enqueue it, sweep, claim and run it, and die where they are told to."""

from __future__ import annotations

import gc
import json
import os
import tempfile
import traceback
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from celery import Celery
from sqlalchemy import NullPool, create_engine, select

from aiki_celery import Aiki, RunStatus, Workflow
from aiki_celery.definitions.registry import registry
from aiki_celery.engine.ports import Forever
from aiki_celery.engine.starting import Starter
from aiki_celery.engine.sweeps.recovery import free_process
from aiki_celery.engine.sweeps.redelivery import Redelivery
from aiki_celery.engine.sweeps.schedules import sweep_schedules
from aiki_celery.engine.sweeps.timers import sweep_timers
from aiki_celery.model.events import RunEvent, StepCommitting
from aiki_celery.model.records import Envelope
from aiki_celery.model.status import RunKind
from tests.crash.booking import ledger
from tests.crash.controlling import held_up, lend_a_hand
from tests.crash.planned import has_skipped, plan, planned
from tests.crash.scenarios import ALL, INLINE_WAIT, MOSTLY, ONE_LOCALLY, SCENARIOS, Scenario
from tests.harness.eventually import eventually
from tests.harness.invariants import read_runs

#: Exit code of a process that died where it was told to.
CRASHED = 77


@dataclass(frozen=True)
class Crash:
    """Where a life ends: at the so-manieth event of a kind."""

    event: type[RunEvent]
    occurrence: int

    def __str__(self) -> str:
        return f"{self.event.__name__} {self.occurrence}"


@dataclass(frozen=True)
class Life:
    """How a process lived: which it was, whether it crashed, how many events of each kind it met."""

    pid: int
    crashed: bool
    events: Counter[str]


class Inbox:
    """A broker that dies with its process: the messages sent in this life."""

    def __init__(self) -> None:
        self._envelopes: list[Envelope] = []

    def publish(self, envelopes: Sequence[Envelope]) -> list[str]:
        """Takes every message."""
        self._envelopes += envelopes
        return []

    def depth(self, queue: str | None) -> int:
        """How many messages wait."""
        return len(self._envelopes)

    def take(self) -> list[Envelope]:
        """Hands them out."""
        taken, self._envelopes = self._envelopes, []
        return taken


class Ground:
    """A journal on which runs live and die, without any broker.

    Args:
        url: SQLAlchemy URL of an empty database.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._is_server = not url.startswith("sqlite")
        self.app = Celery("crash", broker="memory://", set_as_current=False)
        self.aiki = Aiki(
            self.app,
            journal=url,
            inline_wait=INLINE_WAIT,
            redelivery_after=0.02,
            poll_interval=0.01,
        )
        self.aiki.upgrade_journal()
        self.inbox = Inbox()
        binding = self.binding = self.aiki.binding
        binding.dispatcher = self.inbox
        binding.starter = Starter(binding.journal, self.inbox, binding.settings, binding.hooks)
        self.worker_id = binding.process.become_worker("crash-points")
        self.reader = create_engine(url, poolclass=NullPool)
        ledger.metadata.create_all(self.reader)

    def takes_one(self, scenario: Scenario) -> bool:
        """Whether a scenario is killed here at one event of each kind alone."""
        return scenario.points not in ((ALL,) if self._is_server else (ALL, MOSTLY))

    def scenarios(self) -> dict[str, Scenario]:
        """Those that live here."""
        return {
            name: scenario
            for name, scenario in SCENARIOS.items()
            if not (self._is_server and scenario.points == ONE_LOCALLY)
        }

    def live_here(self, workflow: Workflow[..., object], reference: str, after: Life | None = None) -> None:
        """Lives in this very process, undisturbed, to the run's end; leaves no connection for a child to inherit."""
        self._live(workflow, reference, after)
        self.aiki.close()

    def close(self) -> None:
        """Ends it."""
        self.binding.process.leave_worker()
        self.aiki.close()
        self.app.close()

    def live(
        self,
        workflow: Workflow[..., object],
        reference: str,
        crash: Crash | None = None,
        *,
        after: Life | None = None,
        superseded: bool = False,
    ) -> Life:
        """Lives once, in a process of its own.

        Args:
            workflow: What to start, unless an earlier life did, and to bring to its end.
            reference: The run's reference id.
            crash: Where to die; nowhere if None.
            after: The life before, whose process has died.
            superseded: Whether the run is taken away while its first step is under way, as from a zombie.
        """
        with tempfile.NamedTemporaryFile() as report:
            pid = os.fork()
            if pid == 0:
                gc.freeze()
                self._live_and_exit(workflow, reference, crash, after, superseded, Path(report.name))
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            assert code in (0, CRASHED), f"{workflow.name} {reference}: a life ended with {code} ({crash})"
            return Life(pid, code == CRASHED, Counter(json.load(report)))

    def _live_and_exit(
        self,
        workflow: Workflow[..., object],
        reference: str,
        crash: Crash | None,
        after: Life | None,
        superseded: bool,
        report: Path,
    ) -> None:
        met: Counter[str] = Counter()

        def count(event: RunEvent) -> None:
            kind = type(event)
            met[kind.__name__] += 1
            if superseded and kind is StepCommitting and met[kind.__name__] == 1:
                self.binding.journal.recovery.free_process(self.worker_id, os.getpid())
            if crash is not None and kind is crash.event and met[kind.__name__] == crash.occurrence:
                report.write_text(json.dumps(met))
                os._exit(CRASHED)

        try:
            self.aiki.on(RunEvent, count)
            self._live(workflow, reference, after)
            report.write_text(json.dumps(met))
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)

    def _live(self, workflow: Workflow[..., object], reference: str, after: Life | None) -> None:
        journal, context = self.binding.journal, self.binding.sweep_context()
        redelivery = Redelivery(context)
        if after is not None:
            free_process(context, self.worker_id, after.pid)
        found = read_runs(self.reader, reference_id=reference)
        if found:
            run_id = found[0].id
        elif workflow is planned:
            plan(self.aiki.schedules, reference)
            run_id = eventually(lambda: self._planned_run(reference), 20, "the due time", interval=0.002)
        else:
            with self.aiki:
                run_id = workflow.options(reference_id=reference).enqueue().id

        def is_over() -> bool:
            if workflow is planned and not has_skipped(self.aiki.schedules, reference):
                sweep_schedules(context)
            if workflow is held_up:
                lend_a_hand(self.aiki, run_id)
            sweep_timers(context)
            redelivery.sweep()
            for envelope in self.inbox.take():
                self._pass(workflow, envelope.run_id)
            status = journal.views.get(run_id).status
            return (status.is_terminal or status is RunStatus.STALLED) and not self._children_left(run_id)

        eventually(is_over, 20, f"the end of {workflow.name}", interval=0.002)
        if workflow is planned:
            # Nothing of it is due in another life.
            journal.schedules.locked(reference, lambda locked: locked.delete())

    def _planned_run(self, schedule: str) -> str | None:
        """The run that a schedule has started, as soon as it is due."""
        sweep_schedules(self.binding.sweep_context())
        found = self.binding.journal.views.find(schedule=schedule)
        return found[0].id if found else None

    def _pass(self, workflow: Workflow[..., object], run_id: str) -> None:
        """Does what a message asks for: a pass of the run, or of a step that it has started."""
        with self.aiki:
            self._do(workflow, run_id)

    def _do(self, workflow: Workflow[..., object], run_id: str) -> None:
        executor = self.binding.executor
        taken = executor.claim(run_id, self.binding.process.owner())
        if taken is None:
            return
        if taken[0].kind is RunKind.STEP:
            task = registry.task(taken[0].workflow)
            assert task is not None
            executor.run_step(task, *taken, Forever())
        else:
            executor.run(workflow, *taken, Forever(), told=True)

    def _children_left(self, run_id: str) -> bool:
        """Whether something that the run has started is not over."""
        runs = self.binding.journal.schema.runs
        query = select(runs.c.id).where(runs.c.parent_id == run_id, runs.c.finished_at.is_(None)).limit(1)
        return bool(self.binding.journal.connections.read(query))
