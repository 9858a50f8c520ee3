"""Runs a Celery task that a workflow has started in the caller's own process, as ``apply`` does."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from celery import states
from celery.exceptions import NotRegistered
from pydantic_core import from_json

from aiki_celery.celery_binding.adopted.ending import AdoptedEnding
from aiki_celery.celery_binding.message import read_options
from aiki_celery.engine.ports import Publish
from aiki_celery.errors import ClaimLost
from aiki_celery.model.records import Claim

if TYPE_CHECKING:
    from aiki_celery.celery_binding.binding import Binding

logger = logging.getLogger("aiki_celery.delivery")

#: Options of a message that mean something where there is no message.
_LOCAL = ("link_error", "headers", "ignore_result")


def run_here(binding: Binding, claim: Claim, publish: Publish) -> None:
    """Run a claimed task to its end, its retries included, and settle it. One that is not here fails.

    Args:
        binding: The application and its journal.
        claim: The claim.
        publish: Keeps what goes on then.
    """
    ending = AdoptedEnding(binding, claim, publish)
    task = binding.app.tasks.get(claim.workflow)
    try:
        if task is None:
            missing = NotRegistered(
                f"{claim.workflow} is no task of this application, so it cannot be run in this process"
            )
            ending.settle(states.FAILURE, missing)
            return
        given, options = from_json(claim.input), read_options(claim.request)
        local = {name: options[name] for name in _LOCAL if name in options}
        result = task.apply(given["args"], given["kwargs"], task_id=claim.run_id, throw=False, **local)
        ending.settle(result.state, result.result)
        if result.state == states.SUCCESS:
            # Celery would send them, and there may be no broker.
            for callback in options.get("link") or ():
                binding.app.signature(callback).apply((result.result,))
    except ClaimLost as lost:
        logger.warning("%s", lost)
