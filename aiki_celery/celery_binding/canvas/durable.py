"""``durable(...)``: an existing canvas, run as one run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from celery import current_app
from kombu.utils import json as kombu_json

from aiki_celery.celery_binding.canvas.plan import OWNER, plan_of
from aiki_celery.celery_binding.canvas.workflow import canvas
from aiki_celery.definitions.current import current_runtime
from aiki_celery.definitions.handle import WorkflowHandle
from aiki_celery.definitions.options import OnConflict
from aiki_celery.definitions.workflow import Workflow
from aiki_celery.errors import NotJournalable

if TYPE_CHECKING:
    from aiki_celery.definitions.options import Joinable


def durable(signature: Any) -> DurableCanvas:
    """Make a canvas durable, as it is: a chain, group, chord, map, starmap, chunks or single task.

    It runs as one run. Every task of it goes to its own queue with its own options, as it would without this; results
    go through the journal, so no result backend is needed, and a chord's body is run once, whatever is lost on the way.
    ``durable(chord(header, body)).enqueue()`` gives a handle; a canvas that failed goes on from the tasks that failed
    by ``handle.retry()``.

    Args:
        signature: The canvas. It is read when the run is started, and not changed.
    """
    return DurableCanvas(signature, canvas)


class DurableCanvas:
    """A canvas that is run as one run.

    Args:
        signature: The canvas.
        workflow: The workflow that plays it, with the options of the start.
    """

    def __init__(self, signature: Any, workflow: Workflow[..., Any]) -> None:
        self.signature = signature
        self._workflow = workflow

    def enqueue(self, *args: Any, **kwargs: Any) -> WorkflowHandle[Any]:
        """Start a run: journal first, then the message.

        Args:
            *args: What the first tasks get before their own arguments, as in ``canvas.delay(...)``.
            **kwargs: What the first tasks get besides their own arguments.

        Raises:
            InputInvalid: It is no canvas, or has a part that cannot be run; nothing was written.
            NotJournalable: An argument or option has no JSON form; nothing was written.
            PayloadTooLarge: The canvas is larger than ``aiki_max_payload``; nothing was written.
        """
        return self._workflow.enqueue(*self._input(args, kwargs))

    def apply(self, *args: Any, **kwargs: Any) -> Any:
        """Run in this process, journaled, without a broker. Gives Celery's ``EagerResult``."""
        return self._workflow.apply(self._input(args, kwargs))

    def options(
        self,
        *,
        reference_id: str | None = None,
        on_conflict: OnConflict | None = None,
        delay: timedelta | float | None = None,
        eta: datetime | None = None,
        queue: str | None = None,
        priority: int | None = None,
        tags: Sequence[str] | None = None,
        deadline: timedelta | float | datetime | None = None,
        session: Joinable | None = None,
    ) -> DurableCanvas:
        """Give a copy with start options set, of the run, not of its tasks; see :meth:`Workflow.options`.

        Raises:
            InputInvalid: An option has a value that cannot be used.
        """
        workflow = self._workflow.options(
            reference_id=reference_id,
            on_conflict=on_conflict,
            delay=delay,
            eta=eta,
            queue=queue,
            priority=priority,
            tags=tags,
            deadline=deadline,
            session=session,
        )
        return DurableCanvas(self.signature, workflow)

    def _input(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Any, ...]:
        app = getattr(current_runtime(), "app", current_app)
        plan = plan_of(self.signature, app)
        if not args and not kwargs:
            return (plan,)
        try:
            return (plan, *json.loads(kombu_json.dumps([list(args), dict(kwargs)])))
        except Exception as error:
            raise NotJournalable(OWNER, "the arguments", f"have no JSON form: {error}") from error

    def __repr__(self) -> str:
        return f"<durable {self.signature!r}>"
