"""Going on as new: the same run, with another input and an empty record, so that it can go on for ever."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from aiki_celery.definitions.registry import registry
from aiki_celery.engine.current_pass import Pass
from aiki_celery.engine.events.callbacks import expiry_of
from aiki_celery.errors import ClaimLost, RunError, RunSuspended
from aiki_celery.journal.asked import ControlAsked
from aiki_celery.model.events import RunRenewed, RunRenewing
from aiki_celery.model.records import Claim, Envelope
from aiki_celery.model.status import RunStatus


def continue_as_new(current: Pass, args: Sequence[Any], kwargs: Mapping[str, Any]) -> NoReturn:
    """End this generation of the run and queue the next one, with these arguments.

    Raises:
        RunSuspended: Always, unless one of the following is raised.
        InputInvalid: The arguments do not fit; nothing was written.
        NotJournalable: An argument has no JSON form; nothing was written.
        PayloadTooLarge: They are too large; nothing was written.
        RunError: It is called in the block of a saga that has something to undo; nothing was written.
        RunCancelled: The run is being cancelled.
        ClaimLost: The run was taken over.
    """
    claim = current.claim
    workflow = registry.workflow(claim.workflow, claim.version)
    if workflow is None:
        raise RunError(
            f"Run {claim.run_id}: {claim.workflow}@{claim.version} is not defined in this process."
        )
    given = workflow.signature.bind_input(args, kwargs).text
    current.check_size(given, workflow.name, "the input")
    _refuse_to_forget(current)
    current.flush()
    current.cancel_here()
    if current.is_cancelled:
        raise RunError(f"Run {claim.run_id} is being cancelled: it cannot go on as new.")
    current.flush_progress()
    nth = claim.generation + 1
    if current.hooks:
        current.hooks.emit(RunRenewing(claim.run_id, claim.workflow, nth))
    woken = _renew(current, given)
    current.over = RunSuspended(f"run {claim.run_id} continued as new, generation {nth}")
    current.settled_as = RunStatus.QUEUED
    if current.hooks:
        current.hooks.emit(RunRenewed(claim.run_id, claim.workflow, nth))
    current.publish([_envelope(claim), *woken])
    raise current.over


def _refuse_to_forget(current: Pass) -> None:
    """Make sure that no saga knows of something to undo: the next generation would know nothing of it."""
    names = [name for saga in current.undoing.open for name in saga.names]
    if names:
        raise RunError(
            f"Run {current.claim.run_id}: to go on as new in a saga's block would forget how to undo what was done "
            f"there ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''}). Leave the block first."
        )


def _renew(current: Pass, given: str) -> list[Envelope]:
    claim = current.claim
    while True:
        try:
            return current.renewals.renew(
                claim,
                given,
                last_seq=current.record.last_seq,
                consumed=current.expectations.had(),
                spent=_spent(current),
                closes=current.record.closes,
            )
        except ControlAsked as asked:
            if current.obey(asked):
                current.cancel_here()
        except ClaimLost as lost:
            current.refused(lost)
        except BaseException as error:
            current.lose(f"run {claim.run_id}: continuing it as new was interrupted: {error!r}", error)


def _spent(current: Pass) -> dict[int, int]:
    """Give the numbers of the consumed events that were sent by tokens, and when those expire."""
    expiries = {event.number: expiry_of(event.event_id) for event in current.expectations.told()}
    return {number: expires_at for number, expires_at in expiries.items() if expires_at is not None}


def _envelope(claim: Claim) -> Envelope:
    return Envelope(
        claim.run_id,
        claim.workflow,
        claim.version,
        claim.queue,
        claim.priority,
        claim.request,
        claim.kind,
    )
