"""The thread that keeps this process's leases alive and takes back those of the dead."""

import logging
import os
import sqlite3
import time
import uuid
from weakref import WeakValueDictionary

from aiki_celery.celery_binding.transport import clock, native
from aiki_celery.celery_binding.transport.database import Database
from aiki_celery.celery_binding.transport.leases import Leases
from aiki_celery.celery_binding.transport.process_identity import is_known_dead, this_process
from aiki_celery.celery_binding.transport.topology import QueueDeclaration, Topology

logger = logging.getLogger(__name__)

LEASE_SECONDS = 15.0
ROUND_SECONDS = 0.5
CLOCK_JUMP_SECONDS = 1.0


class LeaseHolder:
    """Someone who takes messages: a channel. While it is referenced, its leases are renewed.

    Attributes:
        owner: its name in the table, led by the name of its process.
        lease_seconds: how long its messages stay its own when the process no longer renews them.
        queues: the temporary queues it consumes from, which must not expire.
    """

    def __init__(self, lease_seconds: float) -> None:
        self.owner = f"{this_process()}/{uuid.uuid4().hex}"
        self.lease_seconds = lease_seconds
        self.queues: dict[str, QueueDeclaration] = {}

    def patience(self) -> float:
        """Return within how many seconds this holder must be heard of."""
        expiries = [q.expires_after / clock.SECOND for q in self.queues.values() if q.expires_after]
        return min([self.lease_seconds, *expiries])


class LeaseKeeper:
    """Renews the leases of this process and frees those of others that died or hang.

    It renews every third of what its holders can bear; every half second it frees the messages of processes
    that died and of leases that ran out, and deletes queues that expired. It runs in a thread of the
    operating system (see `native.py`), as messages are held longest by code that does not yield.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._leases = Leases(database)
        self._topology = Topology(database)
        self._holders: WeakValueDictionary[str, LeaseHolder] = WeakValueDictionary()
        self._lock = native.new_lock()
        self._process = 0
        self._renewed_at = 0.0

    def watch_over(self, holder: LeaseHolder) -> None:
        """Renew for this holder from now on, until it is garbage."""
        if self._process not in {0, os.getpid()}:
            # A forked child: the thread and its holders are the parent's, and so is whoever holds the lock.
            self._process, self._lock, self._holders = 0, native.new_lock(), WeakValueDictionary()
        with self._lock:
            self._holders[holder.owner] = holder
            if not self._process:
                self._process = os.getpid()
                native.start_thread(self._run)

    def dismiss(self, holder: LeaseHolder) -> None:
        """Renew no longer for this holder and give back what it still holds."""
        self._holders.pop(holder.owner, None)
        try:
            self._leases.free_owners([holder.owner])
        except sqlite3.Error as error:
            logger.warning("Messages could not be given back; they are when their lease ends: %s", error)

    @property
    def holders(self) -> int:
        """How many are watched over."""
        return len(self._living())

    def renew(self) -> None:
        """Renew every lease of this process and attend its temporary queues."""
        self._renewed_at = time.monotonic()
        holders, held = self._living(), set(self._leases.owners())
        for holder in holders:
            if holder.owner in held:
                self._leases.renew([holder.owner], holder.lease_seconds)
        queues = [queue for holder in holders for queue in tuple(holder.queues.values())]
        if queues:
            self._topology.attend(queues)

    def round(self) -> None:
        """Do once what the thread does every half second."""
        self._renew_if_due()
        self._free_the_dead()
        freed = self._leases.free_expired()
        if freed:
            logger.warning("The lease of %d message(s) ran out: they are delivered again.", freed)
        expired = self._topology.expired_queues()
        if expired:
            self._topology.delete_queues(expired)

    def _run(self) -> None:
        wall, steady = time.time(), time.monotonic()
        while not self._nobody_left():
            native.sleep(ROUND_SECONDS)
            wall_passed, steady_passed = time.time() - wall, time.monotonic() - steady
            wall, steady = wall + wall_passed, steady + steady_passed
            try:
                self._database.reopen_if_replaced()
                if abs(wall_passed - steady_passed) > CLOCK_JUMP_SECONDS:
                    # The clock was set, or the machine slept: every lease looks old. Let all renew first.
                    self.renew()
                else:
                    self.round()
            except Exception:
                logger.warning("Leases could not be looked after; trying again.", exc_info=True)

    def _nobody_left(self) -> bool:
        with self._lock:
            if not self._holders:
                self._process = 0
            return not self._process

    def _renew_if_due(self) -> None:
        patience = min((holder.patience() for holder in self._living()), default=float("inf"))
        if time.monotonic() - self._renewed_at >= patience / 3:
            self.renew()

    def _living(self) -> list[LeaseHolder]:
        return [holder for ref in self._holders.valuerefs() if (holder := ref()) is not None]

    def _free_the_dead(self) -> None:
        dead = [owner for owner in self._leases.owners() if is_known_dead(owner.partition("/")[0])]
        if dead:
            freed = self._leases.free_owners(dead)
            logger.warning("A process died with %d message(s): they are delivered again.", freed)
