"""Celery's ``revoke`` of a run's task id: every worker hears of it and keeps the id; here that cancels the run."""

from __future__ import annotations

import logging
from typing import Any

from celery.worker import state

from aiki_celery.engine.sweeps.context import SweepContext
from aiki_celery.errors import RunFinished, RunNotFound

logger = logging.getLogger("aiki_celery.caretaker")

#: Reason of a run whose task was revoked.
REVOKED = "revoked"

#: How many ids are looked up at once.
BATCH = 500


class Revocations:
    """Looks at what this worker has heard was revoked.

    Args:
        context: What sweeps are given.
    """

    def __init__(self, context: SweepContext) -> None:
        self._context = context
        self._seen: set[str] = set()
        self._mark: tuple[int, object] | None = None

    def sweep(self) -> None:
        """Cancel the runs among the ids that are new."""
        mark = _mark()
        # None stays none: then it cannot be told whether they are the same.
        if mark is not None and self._mark is not None and _is_same(mark, self._mark):
            return
        revoked = _ids()
        new = [run_id for run_id in revoked if run_id not in self._seen]
        for first in range(0, len(new), BATCH):
            for run_id in self._context.journal.deadlines.live(new[first : first + BATCH]):
                self._cancel(run_id)
        # Last, so that what an error has kept from being done is tried again.
        self._seen, self._mark = revoked, mark

    def _cancel(self, run_id: str) -> None:
        try:
            if self._context.cancel(run_id, REVOKED):
                logger.info("Run %s was revoked, and is cancelled.", run_id)
        except (RunFinished, RunNotFound) as error:
            logger.debug("%s", error)


def _mark() -> tuple[int, object] | None:
    """Give what is another once an id is added: how many there are, and the entry that was added last.

    Celery keeps up to 50,000 of them. Each that is added, or added again, is a new entry at the end.
    """
    kept: Any = getattr(state.revoked, "_data", None)
    if not isinstance(kept, dict):
        return None
    try:
        return len(kept), next(reversed(kept.values()), None)
    except RuntimeError:  # one was added meanwhile
        return None


def _is_same(mark: tuple[int, object], other: tuple[int, object]) -> bool:
    return mark[0] == other[0] and mark[1] is other[1]


def _ids() -> set[str]:
    """Give the ids. Copied at one go: the worker's event loop adds to them."""
    kept: Any = getattr(state.revoked, "_data", state.revoked)
    return {str(run_id) for run_id in list(kept)}
