"""The journal: the parts that read and write it, over one database."""

from __future__ import annotations

import threading
from collections.abc import Callable

from sqlalchemy import Engine, select

from aiki_celery.journal import migrate
from aiki_celery.journal.adoptions import Adoptions
from aiki_celery.journal.claims import Claims
from aiki_celery.journal.connections import RETRY_FOR, Connections
from aiki_celery.journal.control.cancels import Control
from aiki_celery.journal.control.deadlines import Deadlines
from aiki_celery.journal.control.moves import ControlMoves
from aiki_celery.journal.control.obedience import Obedience
from aiki_celery.journal.deliveries import Deliveries
from aiki_celery.journal.dialect import db_now
from aiki_celery.journal.engines import system_now
from aiki_celery.journal.family.endings import Endings
from aiki_celery.journal.family.family import Family
from aiki_celery.journal.family.launches import Launches
from aiki_celery.journal.family.outcomes import Outcomes
from aiki_celery.journal.family.references import References
from aiki_celery.journal.forks import Forks
from aiki_celery.journal.inbox.inbox import Inbox
from aiki_celery.journal.pass_statements import PassStatements
from aiki_celery.journal.passes import JournalPass
from aiki_celery.journal.progress_notes import ProgressNotes
from aiki_celery.journal.recovery import Recovery
from aiki_celery.journal.renewals import Renewals
from aiki_celery.journal.replacements import Replacements
from aiki_celery.journal.schedules.schedules import Schedules
from aiki_celery.journal.schema import Schema
from aiki_celery.journal.second_chances import SecondChances
from aiki_celery.journal.settlements import Settlements
from aiki_celery.journal.starts import Starts
from aiki_celery.journal.timers import Timers
from aiki_celery.journal.transactions.announcements import Announcements
from aiki_celery.journal.transactions.joins import Joins
from aiki_celery.journal.transactions.starts import JoinedStarts
from aiki_celery.journal.transactions.transactional import TransactionalSteps
from aiki_celery.journal.views import Views
from aiki_celery.journal.workers import Workers
from aiki_celery.model.records import Claim
from aiki_celery.settings import AikiSettings

#: Seconds that whoever makes the tables waits for the database.
PATIENCE_OF_PEOPLE = 10.0


class Journal:
    """Everything that is stored.

    Nothing is connected until it is used. Safe to share by threads; in a forked child it connects anew.

    Args:
        settings: Where it is and how its tables are called.
        clock: For tests on SQLite: tells the instant in microseconds.
        engine: The application's own engine of a server database, instead of one made from the settings.
    """

    def __init__(
        self, settings: AikiSettings, clock: Callable[[], int] | None = None, engine: Engine | None = None
    ) -> None:
        self.connections = Connections(settings.journal, clock, engine)
        self.schema = Schema(settings.table_prefix, settings.schema_)
        gap = settings.redelivery_after
        self.starts = Starts(self.connections, self.schema, gap)
        self.joins = Joins(self.connections, self.schema, clock or system_now)
        self.joined_starts = JoinedStarts(self.connections, self.schema)
        self.announcements = Announcements(self.connections, self.schema, gap)
        self.inbox = Inbox(self.connections, self.schema, gap, settings.max_events)
        self.claims = Claims(self.connections, self.schema, self.inbox)
        self.timers = Timers(self.connections, self.schema, gap)
        self.deliveries = Deliveries(self.connections, self.schema, gap)
        family = Family(self.connections, self.schema, gap)
        self.recovery = Recovery(self.connections, self.schema, gap, settings.max_recoveries, family)
        self.replacements = Replacements(self.connections, self.schema, gap)
        self.second_chances = SecondChances(self.connections, self.schema, gap)
        self.adoptions = Adoptions(self.connections, self.schema, family)
        self.settlements = Settlements(self.connections, self.schema)
        self.schedules = Schedules(self.connections, self.schema, gap)
        self.workers = Workers(self.connections, self.schema)
        self.views = Views(self.connections, self.schema)
        self.outcomes = Outcomes(self.connections, self.schema)
        self._passes = PassStatements(self.connections, self.schema)
        self._endings = Endings(self._passes, family)
        self.transactional = TransactionalSteps(self._passes, self._endings)
        self.launches = Launches(self.connections, self.schema, gap, self._passes, self.outcomes, self.inbox)
        self.obedience = Obedience(self.connections, self.schema, self._passes, self.launches)
        self.control = Control(self.connections, self.schema, gap, family)
        self.control_moves = ControlMoves(self.control, self.schema, gap)
        self.deadlines = Deadlines(self.connections, self.schema, self.control)
        self.references = References(self.connections, self.schema, self.launches)
        self.forks = Forks(self.connections, self.schema, gap)
        self.progress_notes = ProgressNotes(self.connections, self.schema)
        self.renewals = Renewals(self.connections, self.schema, gap, self._passes, family)
        self._ready = False
        self._lock = threading.Lock()

    def ensure_ready(self) -> None:
        """Make sure, once per process, that the tables are there and of this package's revision.

        Raises:
            SchemaMissing: They are not in the server's database.
            SchemaOutdated: They are of another revision.
            JournalUnavailable: The database could not be reached.
        """
        if self._ready:
            return
        with self._lock:
            if not self._ready:
                self.connections.retrying(lambda: migrate.ensure(self.connections, self.schema))
                self._ready = True

    def begin_pass(self, claim: Claim) -> JournalPass:
        """Give what the pass of a claimed run writes with."""
        return JournalPass(self._passes, self._endings, claim)

    def upgrade(self) -> str:
        """Bring the tables to this package's revision, and give its name.

        Raises:
            JournalUnavailable: The database could not be reached.
        """
        self.now(patience=PATIENCE_OF_PEOPLE)
        return migrate.upgrade(self.connections, self.schema)

    def revision(self) -> str | None:
        """Give the revision the tables are at, or None when they are not there.

        Raises:
            JournalUnavailable: The database could not be reached.
        """
        return self.connections.retrying(
            lambda: migrate.current(self.connections, self.schema), patience=PATIENCE_OF_PEOPLE
        )

    def now(self, *, patience: float = RETRY_FOR) -> int:
        """Give the database's instant in microseconds.

        Args:
            patience: Seconds after which the database is not asked again.

        Raises:
            JournalUnavailable: The database could not be reached.
        """

        def work() -> int:
            with self.connections.autocommit() as connection:
                return int(connection.execute(select(db_now())).scalar_one())

        return self.connections.retrying(work, patience=patience)

    def close(self) -> None:
        """Close every pooled connection."""
        self.connections.close()
