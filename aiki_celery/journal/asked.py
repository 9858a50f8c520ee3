"""Why a write of a pass was refused: the run was taken over, or it has been asked to pause or to end."""

from __future__ import annotations

from typing import Any

from aiki_celery.errors import ClaimLost
from aiki_celery.journal.pass_statements import refusal
from aiki_celery.model.records import Claim
from aiki_celery.model.status import RunStatus

#: What a run can be asked for while somebody holds it.
PAUSE, CANCEL = "pause", "cancel"


class ControlAsked(Exception):
    """The pass still holds the run, which has been asked for something, and nothing was written.

    Args:
        control: What for; None where that was taken back since, so that the write may be tried again.
    """

    def __init__(self, control: str | None) -> None:
        super().__init__(control)
        self.control = control


def is_ours(claim: Claim, state: Any) -> bool:
    """Tell whether a run, as it was found, is held by this claim."""
    return state is not None and (
        (state.status, state.epoch, state.claim_token) == (RunStatus.RUNNING.value, claim.epoch, claim.token)
    )


def refused(claim: Claim, state: Any) -> ControlAsked | ClaimLost:
    """Give what a refused write raises, by the state that the run was found in after it."""
    return ControlAsked(state.control) if is_ours(claim, state) else ClaimLost(refusal(claim))
