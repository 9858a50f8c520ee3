"""Reading runs for users and tools, and the few moves made by hand."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import bindparam, func, literal, select, union_all, update

from aiki_celery.errors import RunError, RunNotFound
from aiki_celery.journal.connections import Connections
from aiki_celery.journal.dialect import db_now
from aiki_celery.journal.family.outcomes import with_children, with_outcome
from aiki_celery.journal.history import appended, parse
from aiki_celery.journal.schema import Schema
from aiki_celery.journal.statement import Statement
from aiki_celery.model.records import RunView, StartedView, StepRecord, Transition
from aiki_celery.model.status import RunKind, RunStatus, StepKind, StepStatus

_VIEW = (
    *(
        "id",
        "workflow",
        "version",
        "reference_id",
        "status",
        "reason",
        "epoch",
        "attempt",
        "recoveries",
        "owner",
    ),
    *("queue", "input", "output", "error", "settlement", "due_at", "created_at", "claimed_at", "finished_at"),
    *(
        "kind",
        "parent_id",
        "details",
        "control",
        "cancel_reason",
        "cancelled_at",
        "deadline_at",
        "forked_from",
        "schedule",
        "scheduled_for",
    ),
    *("generation", "progress_note"),
)

_LAST_PAGE = 2**31 - 1


class Views:
    """Reads runs.

    Args:
        connections: The database.
        schema: The tables.
    """

    def __init__(self, connections: Connections, schema: Schema) -> None:
        self._connections = connections
        self._runs, self._steps, self._pages = schema.runs, schema.steps, schema.history_pages
        dialect = connections.engine.dialect
        chosen = [self._runs.c[name] for name in _VIEW]
        self._get = Statement(select(*chosen).where(self._runs.c.id == bindparam("run")), dialect)
        self._status = Statement(
            select(self._runs.c.status).where(self._runs.c.id == bindparam("run")), dialect
        )

    def get(self, run_id: str) -> RunView:
        """Give a run.

        Raises:
            RunNotFound: There is none with this id.
        """

        def work() -> Any:
            with self._connections.autocommit() as connection:
                return self._get.run(connection, run=run_id).first()

        row = self._connections.retrying(work)
        if row is None:
            raise RunNotFound(run_id)
        return _view(row)

    def status(self, run_id: str) -> RunStatus | None:
        """Give a run's state, or None when there is no such run."""

        def work() -> Any:
            with self._connections.autocommit() as connection:
                return self._status.run(connection, run=run_id).scalar()

        found = self._connections.retrying(work)
        return None if found is None else RunStatus(found)

    def find(
        self,
        *,
        statuses: Collection[RunStatus] = (),
        workflow: str | None = None,
        reference_id: str | None = None,
        kinds: Collection[RunKind] = (),
        parent_id: str | None = None,
        schedule: str | None = None,
        limit: int = 50,
    ) -> list[RunView]:
        """Give runs, newest first.

        Args:
            statuses: Only runs in one of these states; empty for all.
            workflow: Only runs of this workflow.
            reference_id: Only the run with this reference id.
            kinds: Only runs of these kinds; empty for all.
            parent_id: Only what this run has started.
            schedule: Only runs that this schedule has started, by due time.
            limit: Most runs to give.
        """
        runs = self._runs
        newest = runs.c.created_at if schedule is None else runs.c.scheduled_for
        query = select(*(runs.c[name] for name in _VIEW)).order_by(newest.desc(), runs.c.id).limit(limit)
        if statuses:
            query = query.where(runs.c.status.in_([status.value for status in statuses]))
        if workflow is not None:
            query = query.where(runs.c.workflow == workflow)
        if reference_id is not None:
            query = query.where(runs.c.reference_id == reference_id)
        if kinds:
            query = query.where(runs.c.kind.in_([kind.value for kind in kinds]))
        if parent_id is not None:
            query = query.where(runs.c.parent_id == parent_id)
        if schedule is not None:
            query = query.where(runs.c.schedule == schedule)
        return [_view(row) for row in self._connections.read(query)]

    def steps(self, run_id: str) -> list[StepRecord]:
        """Give a run's records in order, inputs included, and each start with what became of it."""
        steps = self._steps
        columns = [steps.c[name] for name in StepRecord._fields]
        query = (
            with_children(steps, self._runs, columns).where(steps.c.run_id == run_id).order_by(steps.c.seq)
        )
        return [_record(tuple(row)) for row in self._connections.read(query)]

    def started(self, run_id: str) -> dict[str, StartedView]:
        """Give by their ids the runs that a run has started or follows, as they are now."""
        runs, steps, tries = self._runs, self._steps, self._steps.alias("tries")
        failed = (
            select(func.count())
            .where(tries.c.run_id == runs.c.id, tries.c.kind == StepKind.ATTEMPT.value)
            .scalar_subquery()
        )
        query = (
            select(*(runs.c[name] for name in _VIEW), failed.label("failed"))
            .join(steps, steps.c.child_id == runs.c.id)
            .where(steps.c.run_id == run_id)
        )
        return {row.id: _started(row) for row in self._connections.read(query)}

    def history(self, run_id: str) -> list[Transition]:
        """Give a run's transitions, oldest first.

        Raises:
            RunNotFound: There is no run with this id.
        """
        pages, runs = self._pages, self._runs
        earlier = select(pages.c.page, pages.c.lines).where(pages.c.run_id == run_id)
        last = select(literal(_LAST_PAGE), runs.c.history).where(runs.c.id == run_id)
        # One statement: between two, the run might turn a page.
        found = sorted(tuple(row) for row in self._connections.read(union_all(earlier, last)))
        if not found or found[-1][0] != _LAST_PAGE:
            raise RunNotFound(run_id)
        return parse("".join(lines for _, lines in found))

    def requeue(self, run_id: str) -> None:
        """Queue a stalled run again, its crash count at zero.

        Raises:
            RunNotFound: There is no run with this id.
            RunError: The run is not stalled.
        """
        runs = self._runs
        statement = (
            update(runs)
            .where(runs.c.id == run_id, runs.c.status == RunStatus.STALLED.value)
            .values(
                status=RunStatus.QUEUED.value,
                reason=None,
                error=None,
                recoveries=0,
                queued_at=db_now(),
                published_at=None,
                due_at=db_now(),
                deliveries=0,
                history=appended(runs.c.history, RunStatus.QUEUED, literal("requeued by hand")),
            )
        )
        tries = 0

        def work() -> bool:
            nonlocal tries
            tries += 1
            with self._connections.autocommit() as connection:
                return connection.execute(statement).rowcount == 1

        if self._connections.retrying(work):
            return
        status = self.get(run_id).status
        if tries > 1 and status is not RunStatus.STALLED:
            return  # an earlier try was committed and its answer lost
        raise RunError(
            f"Run {run_id} is {status}; only a stalled run can be requeued. A failed one is retried; any can be forked."
        )


def _view(row: Any) -> RunView:
    facts = {name: getattr(row, name) for name in _VIEW}
    return RunView(**(facts | {"status": RunStatus(row.status), "kind": RunKind(row.kind)}))


def _started(row: Any) -> StartedView:
    run = _view(row)
    if run.kind is not RunKind.STEP:
        return StartedView(run, run.attempt)
    return StartedView(run, run.attempt + row.failed - (run.status is RunStatus.AWAITING_RETRY))


def _record(row: tuple[Any, ...]) -> StepRecord:
    fields = len(StepRecord._fields)
    step = StepRecord(*row[:fields])
    return with_outcome(
        step._replace(kind=StepKind(step.kind), status=StepStatus(step.status)), *row[fields:]
    )
