"""Steps that replace themselves: the run of a Celery task becomes the run of a workflow, in its place."""

from __future__ import annotations

from sqlalchemy import update

from aiki_celery.errors import ClaimLost
from aiki_celery.journal.connections import Connections
from aiki_celery.journal.pass_statements import refusal
from aiki_celery.journal.queueing import queued_again
from aiki_celery.journal.schema import Schema
from aiki_celery.model.clock import MICROSECOND
from aiki_celery.model.records import Claim, NewRun
from aiki_celery.model.status import RunKind, RunStatus


class Replacements:
    """Replaces started Celery tasks.

    Args:
        connections: The database.
        schema: The tables.
        redelivery_after: Seconds after which a run that nobody took is published again.
    """

    def __init__(self, connections: Connections, schema: Schema, redelivery_after: float) -> None:
        self._connections = connections
        self._runs = schema.runs
        self._gap = int(redelivery_after * MICROSECOND)

    def replace(self, claim: Claim, run: NewRun) -> None:
        """Make a held step's run another workflow's run, queued; its id and its parent stay what they are.

        Args:
            claim: The claim of the step.
            run: What it becomes.

        Raises:
            ClaimLost: The step has been taken over; nothing was written.
        """
        runs = self._runs
        held = (runs.c.epoch == claim.epoch, runs.c.claim_token == claim.token)
        become = {
            "kind": RunKind.WORKFLOW.value,
            "workflow": run.workflow,
            "version": run.version,
            "definition": run.definition,
            "input": run.input,
            "input_hash": run.input_hash,
            "encoding": run.encoding,
            "queue": run.queue,
            "priority": run.priority,
            "request": run.request,
            "timeout": None,
            "call": None,
            # Like the step it was: it is cancelled with its parent, but goes on if that only comes to its end.
            "on_close": "step",
        }
        why = f"{claim.workflow} was replaced; {run.workflow} goes on in its place"
        statement = (
            update(runs)
            .where(runs.c.id == claim.run_id, *held, runs.c.status == RunStatus.RUNNING.value)
            .values(
                **become,
                **queued_again(runs, why, self._gap),
                attempt=1,
                recoveries=0,
                owner=None,
                owner_pid=None,
                claim_token=None,
            )
        )
        tries = 0

        def work() -> bool:
            nonlocal tries
            tries += 1
            with self._connections.autocommit() as connection:
                if connection.execute(statement).rowcount == 1:
                    return True
                # An earlier try may have been committed and its answer lost; then the run is what it should be.
                found = connection.execute(
                    runs.select().with_only_columns(runs.c.definition).where(runs.c.id == claim.run_id)
                ).scalar()
                return tries > 1 and found == run.definition

        if not self._connections.retrying(work):
            raise ClaimLost(refusal(claim))
