"""The statements of a pass, compiled once per journal. Each carries the fence: the run, its epoch, its state."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, bindparam, func, insert, literal, null, select, update

from aiki_celery.journal.connections import Connections
from aiki_celery.journal.dialect import db_now
from aiki_celery.journal.history import appended, first_line
from aiki_celery.journal.schema import Schema
from aiki_celery.journal.statement import Statement
from aiki_celery.model.records import Claim
from aiki_celery.model.status import RunStatus

_COLUMNS = (
    *("seq", "kind", "name", "address", "status", "attempt", "epoch", "started_at", "finished_at"),
    *("due_at", "input", "value"),
)


def is_held(runs: Any) -> tuple[ColumnElement[bool], ...]:
    """Give the fence of a pass: the run is as its claim left it."""
    return (
        runs.c.id == bindparam("run"),
        runs.c.epoch == bindparam("fence"),
        # A claim may be lost by a crash of the database (see claims.py), and its epoch be given out again.
        runs.c.claim_token == bindparam("token"),
        runs.c.status == RunStatus.RUNNING.value,
    )


def fence_of(claim: Claim) -> dict[str, Any]:
    """Give what :func:`is_held` asks for."""
    return {"run": claim.run_id, "fence": claim.epoch, "token": claim.token}


def goes_on(runs: Any) -> tuple[ColumnElement[bool], ...]:
    """Give the fence of what a pass goes on by: it holds the run, which has not been asked to pause or to end."""
    return (*is_held(runs), runs.c.control.is_(None))


class PassStatements:
    """The statements of a pass, compiled once per journal.

    Args:
        connections: The database.
        schema: The tables.
    """

    def __init__(self, connections: Connections, schema: Schema) -> None:
        self.connections = connections
        dialect = connections.engine.dialect
        runs, steps = schema.runs, schema.steps
        held, on = is_held(runs), goes_on(runs)
        names = ["run_id", *_COLUMNS]
        values = [bindparam(name, type_=steps.c[name].type).label(name) for name in names]
        fenced = select(*values).where(*on).with_for_update(read=True)
        self.append = Statement(insert(steps).from_select(names, fenced), dialect)
        # What is finished is kept, whatever the run has been asked for.
        kept = select(*values).where(*held).with_for_update(read=True)
        self.keep = Statement(insert(steps).from_select(names, kept), dialect)
        self.insert = Statement(insert(steps).values({name: bindparam(name) for name in names}), dialect)
        self.written = Statement(
            select(steps.c.epoch, steps.c.address, steps.c.finished_at, steps.c.kind).where(
                steps.c.run_id == bindparam("run_id"), steps.c.seq == bindparam("seq")
            ),
            dialect,
        )
        free = {"owner": null(), "owner_pid": null(), "claim_token": null()}
        why = bindparam("why", type_=runs.c.history.type)
        self.park = {
            status: Statement(
                update(runs)
                .where(*on)
                .values(
                    status=status.value,
                    reason=bindparam("note"),
                    due_at=bindparam("wake_at", type_=runs.c.due_at.type),
                    attempt=bindparam("try"),
                    history=appended(runs.c.history, status, why),
                    **free,
                ),
                dialect,
            )
            for status in (RunStatus.SLEEPING, RunStatus.AWAITING_RETRY)
        }
        self.hand_over = Statement(
            update(runs)
            .where(*held)
            .values(
                status=RunStatus.QUEUED.value,
                queued_at=db_now(),
                published_at=null(),
                due_at=db_now(),
                deliveries=0,
                history=appended(runs.c.history, RunStatus.QUEUED, why),
                **free,
            ),
            dialect,
        )
        outcome = {
            "reason": bindparam("note"),
            "output": bindparam("result", type_=runs.c.output.type),
            "error": bindparam("failure", type_=runs.c.error.type),
            "due_at": null(),
        }
        self.stall = Statement(
            update(runs)
            .where(*held)
            .values(
                status=RunStatus.STALLED.value,
                history=appended(runs.c.history, RunStatus.STALLED, why),
                **outcome,
                **free,
            ),
            dialect,
        )
        self.finish = {
            (status, told): Statement(
                update(runs)
                .where(*held, runs.c.followers == bindparam("followers"))
                .values(
                    status=status.value,
                    settlement=null() if told else "pending",
                    finished_at=db_now(),
                    on_close=null(),
                    control=null(),
                    deadline_at=null(),
                    history=appended(runs.c.history, status, why),
                    **outcome,
                    **(free if told else {}),
                ),
                dialect,
            )
            for status in (RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED)
            for told in (True, False)
        }
        # A step that reports hears of a cancel, and may end early; of a pause it need not know.
        unless_cancelled = func.coalesce(runs.c.control, "") != "cancel"
        self.report = Statement(
            update(runs)
            .where(*held, unless_cancelled)
            .values(details=bindparam("report", type_=runs.c.details.type)),
            dialect,
        )
        self.state = Statement(
            select(runs.c.status, runs.c.epoch, runs.c.claim_token, runs.c.followers, runs.c.control).where(
                runs.c.id == bindparam("run")
            ),
            dialect,
        )
        self.ended = Statement(
            select(runs.c.status, runs.c.epoch, runs.c.output).where(runs.c.id == bindparam("run")), dialect
        )
        pages = schema.history_pages
        self.turn_page = Statement(
            insert(pages).from_select(
                ["run_id", "page", "lines"], select(runs.c.id, runs.c.epoch, runs.c.history).where(*held)
            ),
            dialect,
        )
        self.clear_page = Statement(
            update(runs)
            .where(*held)
            .values(history=first_line(RunStatus.RUNNING, literal("history continued"))),
            dialect,
        )


def refusal(claim: Claim) -> str:
    """Say that a write was refused."""
    return (
        f"run {claim.run_id} was taken over: this pass holds epoch {claim.epoch}, which is over, "
        "and its write was refused"
    )
