"""A Celery task that replaces itself, ``self.replace(canvas)``, while it is a step: the canvas goes on as that step.

Celery would send the canvas, which needs a result backend if there is a chord in it, and is lost with a message. Here
the step's own run becomes the run of the canvas, by one fenced write: whoever waits for the step waits for the canvas.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from celery.canvas import _chain, group
from celery.exceptions import Ignore, ImproperlyConfigured
from celery.utils.functional import maybe_list

from aiki_celery.celery_binding.adopted.answers import ANSWER
from aiki_celery.celery_binding.canvas.plan import plan_of
from aiki_celery.celery_binding.canvas.workflow import canvas
from aiki_celery.celery_binding.message import is_adopted
from aiki_celery.definitions.options import StartOptions
from aiki_celery.model.records import Claim, Envelope, NewRun, envelope_of

if TYPE_CHECKING:
    from aiki_celery.celery_binding.binding import Binding


class Replaced(Ignore):
    """Leaves a task that has replaced itself.

    Args:
        signature: By what.
    """

    def __init__(self, signature: Any) -> None:
        super().__init__(f"replaced by {signature!r:.200}")
        self.signature = signature


def watch_replacements(task: Any) -> None:
    """Have a task's ``replace`` look whether it is a step; where it is not, it does what it always did."""
    as_always = task.replace
    if hasattr(as_always, "watches"):
        return  # from an earlier connection of this worker

    def replace(sig: Any) -> Any:
        request = task.request
        if request.is_eager or not is_adopted(vars(request)):
            return as_always(sig)
        return task.on_replace(_prepared(task, sig))

    replace.watches = True  # type: ignore[attr-defined]
    task.replace = replace


def replacement(binding: Binding, claim: Claim, signature: Any, queue: str | None) -> NewRun:
    """Make the run of a canvas that goes on as a step.

    Raises:
        ValueRejected: It cannot be run, or written.
    """
    bound = canvas.signature.bind_input((plan_of(signature, binding.app),), {})
    asked = binding.queue_for(canvas, queue)
    return binding.starter.run_of(
        canvas, bound.values, bound.text, StartOptions(), asked, run_id=claim.run_id
    )


def go_on_as(binding: Binding, claim: Claim, run: NewRun) -> Envelope:
    """Make a step's run the run of a canvas, and give what its message is made from.

    Raises:
        ClaimLost: The step was taken over; nothing was written.
    """
    binding.journal.replacements.replace(claim, run)
    return envelope_of(run)


def _prepared(task: Any, sig: Any) -> Any:
    """Do to a signature what ``Task.replace`` does, but for sending it in the task's place in a canvas."""
    if "chord" in sig.options:
        raise ImproperlyConfigured("A signature replacing a task must not be part of a chord")
    if isinstance(sig, _chain) and not getattr(sig, "tasks", True):
        raise ImproperlyConfigured("Cannot replace with an empty chain")
    together = task.app.tasks["celery.accumulate"].s(index=0)
    if isinstance(sig, group):
        sig |= together
    if isinstance(sig, _chain) and isinstance(sig.tasks[-1], group):
        sig.tasks = [*sig.tasks[:-1], sig.tasks[-1] | together]
    for callback in _own(task.request.callbacks):
        sig.link(callback)
    for errback in _own(task.request.errbacks):
        sig.link_error(errback)

    def delay(*_: Any, **__: Any) -> NoReturn:
        raise Replaced(sig)

    sig.delay = delay
    return sig


def _own(callbacks: Any) -> list[Any]:
    """Leave out our own callbacks: who settles the step is known without them."""
    return [callback for callback in maybe_list(callbacks) or [] if callback["task"] != ANSWER]
