"""What a handle asks of its run: to end, to wait, to go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiki_celery.definitions.current import Runtime
from aiki_celery.definitions.in_thread import in_thread
from aiki_celery.errors import InputInvalid

if TYPE_CHECKING:
    from aiki_celery.definitions.options import Joinable


class Controls:
    """The verbs of a :class:`~aiki_celery.WorkflowHandle` that control its run."""

    id: str
    _runtime: Runtime

    def cancel(self, reason: str = "", *, force: bool = False, session: Joinable | None = None) -> bool:
        """Ask the run to end. What it has started is cancelled with it, and its code may clean up.

        The code meets the cancel as :class:`~aiki_celery.RunCancelled`, in the next journaled call that has no answer
        yet. If it comes to its end before that, its result stands. A run whose code has never begun is cancelled at
        once.

        Args:
            reason: Why, for people; it comes with ``RunCancelled`` and ``WorkflowCancelled``.
            force: Cancel it at once, and leave out its clean-up: for a run whose code is gone.
            session: An SQLAlchemy session or connection on the journal's database, in whose transaction it is asked.

        Returns:
            Whether this makes a difference; False if the run had been cancelled before.

        Raises:
            RunNotFound: The journal does not know the run (yet, when it was started by ``delay``).
            RunFinished: It is over, and was not cancelled.
            InputInvalid: The reason is no text; nothing was asked.
        """
        if not isinstance(reason, str):
            raise InputInvalid("cancel", "reason", f"must be text, not {reason!r:.60}")
        return self._runtime.controller.cancel(self.id, reason, force=force, session=session)

    def pause(self) -> bool:
        """Let the run do nothing from now on, until it is resumed.

        The step under way is finished, and its result kept. What the run has started goes on.

        Returns:
            Whether this makes a difference; False if the run had been paused before.

        Raises:
            RunNotFound: The journal does not know the run (yet, when it was started by ``delay``).
            RunFinished: It is over.
            WrongState: It is stalled, or being cancelled.
        """
        return self._runtime.controller.pause(self.id)

    def resume(self) -> bool:
        """Let a paused run go on from where it was.

        Returns:
            Whether the run was paused.

        Raises:
            RunNotFound: The journal does not know the run.
            RunFinished: It is over.
            WrongState: It is stalled.
        """
        return self._runtime.controller.resume(self.id)

    def wake(self) -> None:
        """End the run's sleep before its time; ``run.sleep(...)`` returns True then.

        Raises:
            RunNotFound: The journal does not know the run (yet, when it was started by ``delay``).
            RunFinished: It is over.
            WrongState: It does not sleep.
        """
        self._runtime.controller.wake(self.id)

    async def acancel(self, reason: str = "", *, force: bool = False) -> bool:
        """Do what ``cancel`` does, for async code."""
        return await in_thread(self.cancel, reason, force=force)

    async def apause(self) -> bool:
        """Do what ``pause`` does, for async code."""
        return await in_thread(self.pause)

    async def aresume(self) -> bool:
        """Do what ``resume`` does, for async code."""
        return await in_thread(self.resume)

    async def awake(self) -> None:
        """Do what ``wake`` does, for async code."""
        await in_thread(self.wake)
