"""Runs a Celery task that a workflow has started, in a worker that has this package.

Celery's own tracer runs it: with its signals, its retries, its result backend, its callbacks. Around that, the run is
taken before and settled after, so a message that comes again finds nothing to do.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from billiard.einfo import ExceptionInfo
from celery import states
from celery.app.task import Context
from celery.app.trace import TraceInfo, report_internal_error, trace_ok_t
from celery.exceptions import Ignore

from aiki_celery.celery_binding.adopted.answers import answering_here
from aiki_celery.celery_binding.adopted.ending import AdoptedEnding
from aiki_celery.celery_binding.adopted.replacing import watch_replacements
from aiki_celery.celery_binding.expiry import Expired, has_expired
from aiki_celery.celery_binding.message import HEADER, is_adopted, kind_of_task
from aiki_celery.engine.exits import EXITS, refuse_exit
from aiki_celery.errors import ClaimLost, RunNotFound
from aiki_celery.model.records import Claim
from aiki_celery.model.status import RunStatus

if TYPE_CHECKING:
    from aiki_celery.celery_binding.binding import Binding

logger = logging.getLogger("aiki_celery.delivery")

Tracer = Callable[..., Any]


def wrap_tracers(binding: Binding) -> None:
    """Have this process's tracers look for our header. Those that are wrapped, or are ours, are left alone."""
    for task in binding.app.tasks.values():
        tracer = task.__trace__
        if tracer is not None and kind_of_task(task) is None and not hasattr(tracer, "is_aiki"):
            task.__trace__ = _wrapped(binding, task, tracer)
            watch_replacements(task)


def _wrapped(binding: Binding, task: Any, tracer: Tracer) -> Tracer:
    def trace(task_id: str, args: Any, kwargs: Any, request: Any = None) -> Any:
        if request is None or HEADER not in request or not is_adopted(request):
            return tracer(task_id, args, kwargs, request)
        return _trace_adopted(binding, task, tracer, task_id, args, kwargs, request)

    trace.is_aiki = True  # type: ignore[attr-defined]
    return trace


def _trace_adopted(
    binding: Binding,
    task: Any,
    tracer: Tracer,
    run_id: str,
    args: Any,
    kwargs: Any,
    request: Mapping[str, Any],
) -> Any:
    """Take the run, let Celery run the task, and settle what came of it before the message is acknowledged."""
    name = task.name
    try:
        claim = _claim(binding, name, run_id, request)
    except Expired as expired:
        return _nothing_done(expired)
    if claim is None:
        return _nothing_done(Ignore())
    ending = AdoptedEnding(binding, claim, binding.starter.publish)
    with answering_here(run_id):
        try:
            traced = tracer(run_id, args, kwargs, request)
        except EXITS as error:
            traced = _failed(
                binding, task, error, Context(request, args=args, called_directly=False, kwargs=kwargs)
            )
    try:
        ending.settle(*_state_of(traced))
    except ClaimLost as lost:
        logger.warning("%s", lost)
    except Exception:
        # A tracer that raises would have Celery call a finished task a failed one.
        logger.exception("Run %s of %s: its end could not be recorded, and it is run again", run_id, name)
    return traced


def _claim(binding: Binding, name: str, run_id: str, request: Mapping[str, Any]) -> Claim | None:
    """Take the run, or give None.

    Raises:
        Expired: It is over: the message came too late, and this try had not begun.
    """
    attempt = int(request.get("retries") or 0) + 1
    try:
        binding.journal.ensure_ready()
        if binding.process.drain.is_up:
            binding.journal.timers.mark_unpublished([run_id])
            return None
        is_late = has_expired(binding.app, request.get("expires")) and _is_to_begin(binding, run_id, attempt)
        claim = binding.journal.adoptions.claim(run_id, attempt, binding.process.owner(), uuid.uuid4().hex)
        if claim is not None and is_late:
            # Ended by who has taken it, so that nobody is at it.
            ended = binding.journal.adoptions.settle(run_id, RunStatus.CANCELLED, why="expired")
            binding.starter.publish(ended or [])
            raise Expired
    except Expired:
        raise
    except Exception as error:
        logger.warning("Run %s of %s is left for later: %r", run_id, name, error)
        return None
    if claim is None:
        logger.info("Run %s of %s: nothing to do; it is held, over or unknown.", run_id, name)
    return claim


def _is_to_begin(binding: Binding, run_id: str, attempt: int) -> bool:
    """Tell whether nobody has taken this try yet. Celery's own next try expires like the first one."""
    try:
        run = binding.journal.views.get(run_id)
    except RunNotFound:
        return False
    return run.claimed_at is None or run.attempt < attempt or run.status is RunStatus.AWAITING_RETRY


def _state_of(traced: Any) -> tuple[str, Any]:
    """Read what Celery's tracer gives: no ``info`` with a result, else the state and the exception."""
    if traced.info is not None:
        return traced.info.state, traced.info.retval
    if isinstance(traced.retval, ExceptionInfo):
        return states.FAILURE, traced.retval.exception
    return states.SUCCESS, traced.retval


def _failed(binding: Binding, task: Any, error: BaseException, request: Context) -> Any:
    """Have Celery fail a task that was to end a process which others run in; it has no answer to that itself.

    Raises:
        BaseException: The process ends.
    """
    try:
        refuse_exit(binding.process.host, f"task {task.name!r}", error)
    except RuntimeError as failure:
        info = TraceInfo(states.FAILURE, failure)
        try:
            told = info.handle_error_state(task, request)
        except Exception as untold:
            told = report_internal_error(task, untold)
        return trace_ok_t(told, info, 0.0, None)
    raise error


def _nothing_done(why: Ignore) -> Any:
    """Give what a tracer gives of a task that raised ``Ignore``: acknowledged, nothing stored."""
    try:
        raise why
    except Ignore as ignored:
        return trace_ok_t(ExceptionInfo(internal=True), TraceInfo(states.IGNORED, ignored), 0.0, None)
