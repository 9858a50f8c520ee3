"""The Celery task that answers are sent to by workers that do not have this package."""

from __future__ import annotations

import hmac
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from celery import Task
from pydantic_core import from_json

from aiki_celery.celery_binding.adopted.answers import ANSWER, is_answered_here
from aiki_celery.celery_binding.adopted.settling import settle_with
from aiki_celery.errors import JournalError

if TYPE_CHECKING:
    from aiki_celery.celery_binding.binding import Binding

logger = logging.getLogger("aiki_celery.delivery")


class SettleTask(Task):
    """Writes to the journal how a started Celery task has ended. An answer that is not expected changes nothing."""

    name = ANSWER
    acks_late = True
    reject_on_worker_lost = True
    ignore_result = True
    typing = False
    serializer = "json"
    # An answer comes once; it must not be lost because the journal is away.
    autoretry_for = (JournalError,)
    max_retries = None
    retry_backoff = True
    aiki_kind = "answer"

    #: Gives the application and its journal; set by the compiler.
    binding_of: Callable[[], Binding]

    def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        """Send an answer, unless the journal is written by whoever would send it."""
        if is_answered_here((kwargs or {}).get("run")):
            return None
        return super().apply_async(args, kwargs, **options)

    def run(
        self, value: Any = None, *_: Any, run: str = "", secret: str = "", failed: bool = False, **__: Any
    ) -> None:
        """Settle a run.

        Args:
            value: The result, or the id of the task that failed.
            run: The run.
            secret: What only the task's own message told.
            failed: Whether it failed.
        """
        binding = self.binding_of()
        journal = binding.journal
        journal.ensure_ready()
        call = journal.adoptions.calls([run]).get(run) if isinstance(run, str) else None
        if call is None:
            logger.info("An answer about run %r: it is over, or there is none; nothing is done.", run)
            return
        if not hmac.compare_digest(str(from_json(call.call).get("secret")), str(secret)):
            logger.warning("An answer about run %s that is none of ours; nothing is done.", run)
            return
        settle_with(binding, run, call.name, value, call.attempt, failed=failed)
