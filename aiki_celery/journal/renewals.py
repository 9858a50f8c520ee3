"""A run that goes on as new: the same run with another input, and with nothing recorded.

All of it is one transaction, fenced like every write of a pass. Places go on counting, so what the run has started
before and what it starts from now on never share an id, and the end of something old wakes nobody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, delete, null, select, update

from aiki_celery.journal.asked import refused
from aiki_celery.journal.connections import Connections
from aiki_celery.journal.dialect import db_now, instant, small_number
from aiki_celery.journal.family.family import Family
from aiki_celery.journal.history import PAGE
from aiki_celery.journal.inbox.statements import SPENT
from aiki_celery.journal.pass_statements import PassStatements, fence_of, goes_on
from aiki_celery.journal.queueing import queued_again
from aiki_celery.journal.schema import Schema
from aiki_celery.journal.statement import Statement
from aiki_celery.model.clock import MICROSECOND
from aiki_celery.model.received import Stretch
from aiki_celery.model.records import Claim, Envelope

#: Reason of a run that was cancelled because the one that had started it went on as new.
PARENT_IS_NEW = "its parent continued as new"

#: How many pages of its history a run keeps when it goes on as new, so that one which does so for ever stays small.
PAGES_KEPT = 3

#: How long a used token is known after it has expired, in microseconds: a send may be under way.
TOKEN_GRACE = 3600 * MICROSECOND


class Renewals:
    """Lets runs go on as new.

    Args:
        connections: The database.
        schema: The tables.
        redelivery_after: Seconds after which a run that nobody took is published again.
        passes: The statements of passes.
        family: Ends what ends with a run.
    """

    def __init__(
        self,
        connections: Connections,
        schema: Schema,
        redelivery_after: float,
        passes: PassStatements,
        family: Family,
    ) -> None:
        self._connections = connections
        self._passes = passes
        self._family = family
        dialect = connections.engine.dialect
        runs, steps, events, pages = schema.runs, schema.steps, schema.events, schema.history_pages
        place = bindparam("place", type_=small_number())
        self._renew = Statement(
            update(runs)
            .where(*goes_on(runs))
            .values(
                **queued_again(
                    runs, bindparam("why", type_=runs.c.history.type), int(redelivery_after * MICROSECOND)
                ),
                input=bindparam("given", type_=runs.c.input.type),
                generation=bindparam("nth", type_=small_number()),
                base_seq=place,
                progress=place,
                attempt=1,
                recoveries=0,
                details=null(),
                call=null(),
                owner=null(),
                owner_pid=null(),
                claim_token=null(),
            ),
            dialect,
        )
        of_run: Any = bindparam("run")
        self._forget_record = Statement(delete(steps).where(steps.c.run_id == of_run), dialect)
        self._forget_events = Statement(
            delete(events).where(
                events.c.run_id == of_run,
                events.c.name == bindparam("name"),
                events.c.number.between(bindparam("first"), bindparam("last")),
            ),
            dialect,
        )
        self._spend = Statement(
            update(events)
            .where(events.c.run_id == of_run, events.c.number == bindparam("place", type_=small_number()))
            .values(name=SPENT, payload="null", sent_at=bindparam("expires_at", type_=instant())),
            dialect,
        )
        self._forget_spent = Statement(
            delete(events).where(
                events.c.run_id == of_run, events.c.name == SPENT, events.c.sent_at < db_now() - TOKEN_GRACE
            ),
            dialect,
        )
        last_kept = (
            select(pages.c.page)
            .where(pages.c.run_id == of_run)
            .order_by(pages.c.page.desc())
            .offset(PAGES_KEPT)
            .limit(1)
            # A table of its own: MySQL reads none from which it deletes.
            .subquery("too_old")
        )
        too_old = select(last_kept.c.page).scalar_subquery()
        self._forget_pages = Statement(
            delete(pages).where(pages.c.run_id == of_run, pages.c.page <= too_old), dialect
        )
        facts = (runs.c.status, runs.c.epoch, runs.c.claim_token, runs.c.control, runs.c.generation)
        self._state = Statement(select(*facts).where(runs.c.id == of_run), dialect)

    def renew(
        self,
        claim: Claim,
        given: str,
        *,
        last_seq: int,
        consumed: Sequence[Stretch],
        spent: Mapping[int, int],
        closes: bool,
    ) -> list[Envelope]:
        """Give a run a new input and an empty record, and queue it.

        Args:
            claim: The claim.
            given: The new input as JSON text.
            last_seq: The last place of the record; the new one begins after it.
            consumed: The events that the code was told of; the others stay in the inbox.
            spent: By the numbers of those of them that were sent by tokens, when these expire: a token that is used
                stays so.
            closes: Whether the run may have children that end with it.

        Returns:
            What the messages of those runs are made from that go on because of it; its own is not among them.

        Raises:
            ControlAsked: The run is asked to pause or to end; nothing was written.
            ClaimLost: The run has been taken over; nothing was written.
        """

        def work() -> list[Envelope]:
            with self._connections.transaction() as connection:
                if not self._renewed(connection, claim, given, last_seq):
                    return []
                self._forget_record.run(connection, run=claim.run_id)
                self._forget_pages.run(connection, run=claim.run_id)
                if spent:
                    tokens = [
                        {"run": claim.run_id, "place": number, "expires_at": expires_at}
                        for number, expires_at in spent.items()
                    ]
                    self._spend.run_many(connection, tokens)
                    self._forget_spent.run(connection, run=claim.run_id)
                if consumed:
                    rows = [stretch._asdict() | {"run": claim.run_id} for stretch in consumed]
                    self._forget_events.run_many(connection, rows)
                return self._close(connection, claim.run_id) if closes else []

        return self._connections.retrying(work)

    def _close(self, connection: Connection, run_id: str) -> list[Envelope]:
        """Cancel the children that end with the run, as if it had ended; started steps go on."""
        return self._family.cancel_below(connection, run_id, PARENT_IS_NEW, with_steps=False)

    def _renewed(self, connection: Connection, claim: Claim, given: str, last_seq: int) -> bool:
        """Move the run; tell whether this try did it, not an earlier one that was committed and its answer lost."""
        fence = fence_of(claim)
        if claim.history_length > PAGE:
            self._passes.turn_page.run(connection, **fence)
            self._passes.clear_page.run(connection, **fence)
        nth = claim.generation + 1
        why = f"continued as new, generation {nth}"
        moved = self._renew.run(connection, **fence, given=given, place=last_seq, nth=nth, why=why)
        if moved.rowcount == 1:
            return True
        state = self._state.run(connection, run=claim.run_id).first()
        if state is None or (state.epoch, state.generation) != (claim.epoch, nth):
            raise refused(claim, state)
        return False
