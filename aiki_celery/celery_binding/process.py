"""Who this process is to the journal: a worker, a process of one, or a script that runs workflows by itself."""

from __future__ import annotations

import atexit
import mmap
import os
import socket
import threading
import uuid

from celery.exceptions import SoftTimeLimitExceeded, WorkerShutdown, WorkerTerminate

from aiki_celery.celery_binding.heartbeat import Heartbeat
from aiki_celery.engine.exits import EXITS
from aiki_celery.journal.journal import Journal
from aiki_celery.model.records import Owner
from aiki_celery.settings import AikiSettings

#: Tells the processes of a spawning pool, which import everything anew, whose they are.
WORKER_ID = "_AIKI_WORKER_ID"


class DrainFlag:
    """A flag that forked processes share: set once, seen at the next step of each of them."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 1)

    def raise_it(self) -> None:
        """Ask every process of this worker to let go of its run at the next step. Safe in a signal handler."""
        self._memory[0] = 1

    def lower(self) -> None:
        """Begin anew, for a worker started in a process where one has ended."""
        self._memory[0] = 0

    @property
    def is_up(self) -> bool:
        """Whether the worker is ending."""
        return self._memory[0] == 1


class WorkerHost:
    """Makes a worker's passes let go when the worker ends, or when one message was held long enough.

    Args:
        drain: Whether the worker is ending.
        max_hold: Seconds for which one message may be held.
        main_pid: The worker's main process, where this process knows of it.
    """

    def __init__(self, drain: DrainFlag, max_hold: float, main_pid: int | None = None) -> None:
        self._drain = drain
        self._max_hold = max_hold
        self._main_pid = main_pid

    def should_let_go(self, held_for: float) -> str | None:
        """Give the reason to hand a run over, or None to go on."""
        if self._drain.is_up:
            return "its worker is shutting down"
        if held_for > self._max_hold:
            return f"it was held for {held_for:.0f} s"
        return None

    @property
    def is_ending(self) -> bool:
        """Whether the whole worker is ending."""
        return self._drain.is_up

    def is_time_limit(self, error: BaseException) -> bool:
        """Tell whether an exception is Celery's of a soft time limit."""
        return isinstance(error, SoftTimeLimitExceeded)

    def outlives(self, error: BaseException) -> bool:
        """Tell whether code has asked for the end of the worker's main process, and not Celery."""
        is_celerys = isinstance(error, (WorkerShutdown, WorkerTerminate))
        return isinstance(error, EXITS) and not is_celerys and self._main_pid == os.getpid()


class ProcessIdentity:
    """The owner that this process's claims carry.

    Args:
        journal: Where workers say that they are alive.
        settings: The settings.
    """

    def __init__(self, journal: Journal, settings: AikiSettings) -> None:
        self._journal = journal
        self._settings = settings
        self._worker_id: str | None = None
        self._main_pid: int | None = None
        self._alone: tuple[int, str] | None = None
        self._heartbeat: Heartbeat | None = None
        self._lock = threading.Lock()
        self.drain = DrainFlag()

    @property
    def worker_id(self) -> str | None:
        """Id of the worker this process is or belongs to; None in any other process."""
        return self._worker_id

    @property
    def host(self) -> WorkerHost:
        """Who tells this worker's passes to let go."""
        return WorkerHost(self.drain, self._settings.max_hold, self._main_pid)

    def become_worker(self, hostname: str) -> str:
        """Make this process a worker's main process, and give the worker's new id."""
        self._worker_id = f"{hostname[:40]}/{uuid.uuid4().hex[:12]}"
        self._main_pid = os.getpid()
        self.drain.lower()
        os.environ[WORKER_ID] = self._worker_id
        return self._worker_id

    def join_worker(self) -> None:
        """Make this process one of the worker's that started it."""
        self._worker_id = self._worker_id or os.environ.get(WORKER_ID)

    def leave_worker(self) -> None:
        """Stop being a worker's process."""
        self._worker_id = self._main_pid = None
        os.environ.pop(WORKER_ID, None)

    def owner(self) -> Owner:
        """Give who owns the runs whose messages this process works on."""
        if self._worker_id is not None:
            return Owner(self._worker_id, os.getpid())
        return self.owner_here()

    def owner_here(self) -> Owner:
        """Give who owns the runs that code in this process does by itself; this process says that it is alive.

        That is another owner than the worker even in a worker's process: the worker looks after runs by their messages,
        and these have none.
        """
        with self._lock:
            if self._alone is None or self._alone[0] != os.getpid():
                self._alone = (os.getpid(), self._stand_alone())
            return Owner(self._alone[1], os.getpid())

    def _stand_alone(self) -> str:
        worker_id = f"process/{uuid.uuid4().hex[:12]}"
        heartbeat = Heartbeat(
            self._journal, worker_id, socket.gethostname(), self._settings.heartbeat_interval
        )
        heartbeat.start()
        atexit.register(heartbeat.end)
        self._heartbeat = heartbeat
        return worker_id

    def end(self) -> None:
        """Stop saying that this process is alive, if it did so by itself."""
        with self._lock:
            heartbeat, self._heartbeat, self._alone = self._heartbeat, None, None
        if heartbeat is not None:
            atexit.unregister(heartbeat.end)
            heartbeat.end()
