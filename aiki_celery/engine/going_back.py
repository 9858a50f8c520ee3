"""What a retry of the whole workflow goes back to: the failed step, the beginning of a saga, or a failed compensation.

Finished steps are kept, and a retry goes on from the step that failed. Two things make a difference. What a saga has
undone is not there any more, so it is done again, from the beginning of the saga on. And where a compensation has
failed, what it was to undo must not be done once more; that compensation alone is run again, by whoever says so.
"""

from __future__ import annotations

from dataclasses import dataclass

from aiki_celery.engine.failures import stems_from
from aiki_celery.engine.pass_state import PassState
from aiki_celery.engine.put_aside import COMPENSATED, FailedStep, Undone


@dataclass(frozen=True, slots=True)
class GoingBack:
    """What a retry puts aside.

    Attributes:
        places: Places of outcomes that are put aside one by one.
        end: The place from which on everything is; None for nothing.
        is_undone: Whether a saga has undone that.
        began: Where in the code that saga began; None for the place before the end.
        needs_hand: Whether no policy may decide on it.
    """

    places: frozenset[int] = frozenset()
    end: int | None = None
    is_undone: bool = False
    began: int | None = None
    needs_hand: bool = False

    def text(self, marker: int | None) -> str | None:
        """Write it for a marker at a place, or for a marker that may be made later."""
        if self.end is None:
            return None if marker is None else str(marker)
        places = sorted(place for place in self.places if place < self.end)
        value = f"{','.join(map(str, places))};{self.end - 1}" if places else str(self.end)
        return value if self.began in (None, self.end - 1) else f"{value}@{self.began}"

    @property
    def name(self) -> str:
        """Name of its marker."""
        return COMPENSATED if self.is_undone else "retry"


def go_back(current: PassState, error: BaseException) -> GoingBack:
    """Tell what a retry puts aside after an error that has left the workflow's code."""
    failed = {
        place
        for saga in current.undoing.done
        if saga.raised is not None and stems_from(error, saga.raised)
        for place in saga.failed
    }
    if failed:
        return GoingBack(frozenset(failed), current.record.last_seq + 1, needs_hand=True)
    places, end = _of_step(_failed_step(current, error))
    undone, began = False, None
    # The last one first: it may take in the compensations of another one, which must not be put aside without what
    # they have undone.
    for saga in reversed(current.undoing.done):
        if _is_meant(saga, error) or (end is not None and saga.reached + 1 < end <= saga.first):
            if end is None or saga.reached < end:
                end, began = saga.reached + 1, saga.place
            places |= set(saga.earlier)
            undone = True
    return GoingBack(frozenset(places), end, is_undone=undone, began=began)


def _is_meant(saga: Undone, error: BaseException) -> bool:
    return saga.error is not None and stems_from(error, saga.error)


def _of_step(failed: FailedStep | None) -> tuple[set[int], int | None]:
    """Give what is put aside because of a step: itself, and what came after it was seen to have failed.

    Of started steps those that failed, by their places: what else was started before that was seen keeps its outcome.
    """
    if failed is None:
        return set(), None
    if not failed.places:
        return set(), failed.first
    return set(failed.places), failed.reached + 1


def _failed_step(current: PassState, error: BaseException) -> FailedStep | None:
    """Give the step from which an error stems, if it stems from one."""
    return next((failed for failed in reversed(current.failed) if stems_from(error, failed.error)), None)
