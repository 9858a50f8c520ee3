"""Who follows runs, for many of them at once: which of them are forks, and telling them that the runs are over.

A cascade ends hundreds of runs in one transaction. It asks and tells by as many statements as for one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection, Row, select, update

from aiki_celery.journal.batches import batches
from aiki_celery.journal.connections import Connections
from aiki_celery.journal.dialect import has_snapshots
from aiki_celery.journal.envelopes import ENVELOPE_COLUMNS, envelope
from aiki_celery.journal.queueing import queued_again
from aiki_celery.journal.schema import Schema
from aiki_celery.model.records import Envelope
from aiki_celery.model.status import RunStatus

#: What a follower's row says of what it waits for.
_WAIT = ("status", "await_first", "await_last", "await_skip", "await_count")


class Followers:
    """Looks for followers, and counts runs off in their rows.

    Args:
        connections: The database.
        schema: The tables.
        gap: Microseconds after which a run that nobody took is published again.
    """

    def __init__(self, connections: Connections, schema: Schema, gap: int) -> None:
        self._connections = connections
        self._runs, self._followers = schema.runs, schema.followers
        self._gap = gap

    def of(self, connection: Connection, run_ids: Sequence[str]) -> dict[str, list[Row[Any]]]:
        """Give the followers of runs that the transaction has locked, by their ids: ``parent_id``, ``parent_seq``."""
        followers = self._followers
        found: dict[str, list[Row[Any]]] = defaultdict(list)
        for ids in batches(run_ids):
            # What was committed last, whatever the caller's transaction saw when it began.
            look = select(followers).where(followers.c.run_id.in_(ids)).with_for_update(read=True)
            for row in connection.execute(look):
                found[row.run_id].append(row)
        return found

    def live_forks(self, connection: Connection, run_ids: Collection[str]) -> set[str]:
        """Tell which of these runs are forks that are not over.

        None is locked: they come before the runs they follow, which the transaction has locked already.

        Args:
            connection: The transaction.
            run_ids: The runs.
        """
        if not run_ids:
            return set()
        seen = self._forks(connection, run_ids)
        if not has_snapshots(connection):
            return {row.id for row in seen if row.finished_at is None}
        # What it sees may be of its beginning. Only what is cancelled stays so, be it by this very transaction.
        cancelled = {row.id for row in seen if row.status == RunStatus.CANCELLED.value}

        def elsewhere() -> list[Any]:
            with self._connections.autocommit() as own:
                return self._forks(own, run_ids)

        found = self._connections.retrying(elsewhere)
        return {row.id for row in found if row.finished_at is None} - cancelled

    def _forks(self, connection: Connection, run_ids: Collection[str]) -> list[Any]:
        runs = self._runs
        look = select(runs.c.id, runs.c.status, runs.c.finished_at).where(runs.c.forked_from.is_not(None))
        return [
            row
            for ids in batches(sorted(run_ids))
            for row in connection.execute(look.where(runs.c.id.in_(ids))).all()
        ]

    def count_off(self, connection: Connection, ties: Sequence[Any]) -> list[Envelope]:
        """Within the transaction that ends runs: count them off in the rows of their followers.

        Every follower is locked, whether or not it waits; see :meth:`Family.count_off`.

        Args:
            connection: The transaction.
            ties: Followers and places, as :meth:`of` gives them.

        Returns:
            What the messages of those runs are made from that go on now.
        """
        places: dict[str, set[int]] = defaultdict(set)
        for tie in ties:
            places[tie.parent_id].add(tie.parent_seq)
        runs = self._runs
        columns = [runs.c[name] for name in (*ENVELOPE_COLUMNS, *_WAIT)]
        woken: list[Row[Any]] = []
        fewer: dict[int, list[str]] = defaultdict(list)
        for ids in batches(sorted(places)):
            look = select(*columns).where(runs.c.id.in_(ids)).order_by(runs.c.id).with_for_update()
            for row in connection.execute(look):
                over = sum(_is_awaited(row, place) for place in places[row.id])
                if over and over >= row.await_count:
                    woken.append(row)
                elif over:
                    fewer[over].append(row.id)
        for over, less in fewer.items():
            self._set(connection, less, {"await_count": runs.c.await_count - over})
        self._set(connection, [row.id for row in woken], self._queued())
        return [envelope(row) for row in woken]

    def _set(self, connection: Connection, run_ids: Sequence[str], values: dict[str, Any]) -> None:
        for ids in batches(run_ids):
            connection.execute(update(self._runs).where(self._runs.c.id.in_(ids)).values(**values))

    def _queued(self) -> dict[str, Any]:
        return queued_again(self._runs, "what it waited for is over", self._gap) | {"await_count": 0}


def _is_awaited(run: Any, place: int) -> bool:
    """Tell whether a run waits for the start at this place of its record."""
    if run.status != RunStatus.AWAITING_STEPS.value or run.await_first is None:
        return False
    return bool(run.await_first <= place <= run.await_last and f",{place}," not in (run.await_skip or ""))
