"""Starting a child by a reference id: the run that has it already is found and followed, else one is made.

The database's constraint decides between two who start at once; the loser finds the winner's run.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, bindparam, insert, null, select, update
from sqlalchemy.exc import IntegrityError

from aiki_celery.errors import ReferenceConflict
from aiki_celery.journal.connections import Connections
from aiki_celery.journal.family.launches import Launches
from aiki_celery.journal.schema import Schema
from aiki_celery.journal.statement import Statement
from aiki_celery.model.records import Claim, NewChild, StepRecord
from aiki_celery.model.status import RunStatus

#: How often it is tried anew when somebody else makes a run with the reference id in the same moment.
TRIES = 10

#: An earlier child in one of these states gives its reference id to the one that is started in its place.
_FAILED = frozenset({RunStatus.FAILED.value, RunStatus.CANCELLED.value})


class References:
    """Starts children by reference id.

    Args:
        connections: The database.
        schema: The tables.
        launches: Writes starts.
    """

    def __init__(self, connections: Connections, schema: Schema, launches: Launches) -> None:
        self._connections = connections
        self._launches = launches
        runs, followers = schema.runs, schema.followers
        dialect = connections.engine.dialect
        self._find = Statement(
            select(runs.c.id, runs.c.input_hash, runs.c.status)
            .where(runs.c.workflow == bindparam("workflow"), runs.c.reference_id == bindparam("reference_id"))
            .with_for_update(),
            dialect,
        )
        self._follow = Statement(
            insert(followers).values(
                run_id=bindparam("run"), parent_id=bindparam("parent"), parent_seq=bindparam("place")
            ),
            dialect,
        )
        self._release = Statement(
            update(runs).where(runs.c.id == bindparam("run")).values(reference_id=null()), dialect
        )
        self._followed = Statement(
            update(runs).where(runs.c.id == bindparam("run")).values(followers=runs.c.followers + 1), dialect
        )

    def launch(
        self,
        claim: Claim,
        step: StepRecord,
        child: NewChild,
        *,
        return_existing: bool,
        redone: Collection[str | None] = (),
    ) -> tuple[StepRecord, bool]:
        """Record the start of a child by its reference id.

        Args:
            claim: The parent's claim.
            step: The start.
            child: The run it makes, if there is none.
            return_existing: Whether a run with other input will do.
            redone: Ids of earlier children of this parent that a retry has put aside. One of them that has failed
                gives its reference id to the new run.

        Returns:
            The record, which names the run that has the reference id, and whether that run is new.

        Raises:
            ReferenceConflict: The reference id is taken by a run with other input; nothing was written.
            ControlAsked: The parent is asked to pause or to end; nothing was written.
            ClaimLost: The parent has been taken over; nothing was written.
        """
        for _ in range(TRIES - 1):
            try:
                return self._try(claim, step, child, return_existing, redone)
            except IntegrityError:
                written = self._launches.written(claim, step.seq)
                if written is not None:  # an earlier try was committed and its answer lost
                    return step._replace(child_id=written), written == step.child_id
        return self._try(claim, step, child, return_existing, redone)

    def _try(
        self,
        claim: Claim,
        step: StepRecord,
        child: NewChild,
        return_existing: bool,
        redone: Collection[str | None],
    ) -> tuple[StepRecord, bool]:
        def work() -> tuple[StepRecord, bool]:
            with self._connections.transaction() as connection:
                self._launches.grow(connection, claim, 1)
                found = self._find.run(
                    connection, workflow=child.run.workflow, reference_id=child.run.reference_id
                ).first()
                if found is not None and found.id in redone and found.status in _FAILED:
                    self._release.run(connection, run=found.id)
                    found = None
                if found is None:
                    self._launches.write(connection, claim, [step], [child])
                    return step, True
                if found.input_hash != child.run.input_hash and not return_existing:
                    raise ReferenceConflict(child.run.workflow, child.run.reference_id or "", found.id)
                known = step._replace(child_id=found.id)
                self._launches.write(connection, claim, [known], [])
                # Of a run that is over, too: it stays over as it is, because somebody has seen it.
                self._add_follower(connection, claim, found.id, step.seq)
                return known, False

        return self._connections.retrying(work)

    def _add_follower(self, connection: Connection, claim: Claim, run_id: str, seq: int) -> None:
        self._follow.run(connection, run=run_id, parent=claim.run_id, place=seq)
        self._followed.run(connection, run=run_id)
