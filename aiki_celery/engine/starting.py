"""Starting runs: validate, journal, then send the message."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from aiki_celery.definitions.options import StartOptions
from aiki_celery.definitions.workflow import Workflow
from aiki_celery.engine.joined import Joined
from aiki_celery.engine.lifecycle import Lifecycle
from aiki_celery.engine.outbox import Send
from aiki_celery.engine.ports import Dispatcher
from aiki_celery.errors import InputInvalid, PayloadTooLarge
from aiki_celery.journal.journal import Journal
from aiki_celery.model.canonical import ENCODING_VERSION
from aiki_celery.model.clock import MICROSECOND
from aiki_celery.model.events import RunEnqueued, RunEnqueuing, RunPublished
from aiki_celery.model.ids import new_run_id
from aiki_celery.model.records import Envelope, NewRun, envelope_of
from aiki_celery.model.status import RunKind
from aiki_celery.settings import AikiSettings

logger = logging.getLogger("aiki_celery.start")


class Starter:
    """Starts runs.

    Args:
        journal: Where runs are recorded.
        dispatcher: Who sends messages.
        settings: The settings.
        hooks: Who is told of lifecycle events.
    """

    def __init__(
        self, journal: Journal, dispatcher: Dispatcher, settings: AikiSettings, hooks: Lifecycle
    ) -> None:
        self._journal = journal
        self._dispatcher = dispatcher
        self._settings = settings
        self._hooks = hooks

    def enqueue(
        self,
        workflow: Workflow[..., Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        options: StartOptions,
        queue: str | None,
    ) -> str:
        """Journal a run, send its message, and give its id.

        Raises:
            InputInvalid: The arguments do not fit, or ``session=`` cannot be joined; nothing was written.
            NotJournalable: An argument has no JSON form; nothing was written.
            PayloadTooLarge: The arguments are too large; nothing was written.
            ReferenceConflict: The reference id is taken by a run with other input.
        """
        run = self.new_run(workflow, args, kwargs, options, queue)
        self._journal.ensure_ready()
        if options.session is not None:
            return self.join(options.session, workflow.name).start(run, options)
        if self._hooks:
            self._hooks.emit(RunEnqueuing(run.id, run.workflow))
        run_id = self._journal.starts.insert(run, return_existing=options.on_conflict == "return_existing")
        if run_id != run.id:
            return run_id
        if self._hooks:
            self._hooks.emit(RunEnqueued(run.id, run.workflow))
        if not run.waits:
            self.publish([envelope_of(run)])
        return run_id

    def enqueue_many(
        self,
        workflow: Workflow[..., Any],
        calls: Sequence[Sequence[Any]],
        options: StartOptions,
        queue: str | None,
    ) -> list[str]:
        """Journal many runs in one transaction, send their messages by one producer, and give their ids in order.

        Raises:
            InputInvalid: One of the calls does not fit; nothing was written.
        """
        runs = self.new_runs(workflow, calls, options, queue)
        if not runs:
            return []
        self._journal.ensure_ready()
        if options.session is not None:
            self.join(options.session, workflow.name).start_many(runs)
            return [run.id for run in runs]
        self._journal.starts.insert_many(runs)
        if not runs[0].waits:
            self.publish([envelope_of(run) for run in runs])
        return [run.id for run in runs]

    def join(self, session: Any, owner: str, send: Send | None = None) -> Joined:
        """Join the caller's transaction.

        Args:
            session: A session or connection of SQLAlchemy's, or a joined transaction.
            owner: Name of the workflow, for messages.
            send: Sends messages after the commit, if not the dispatcher.

        Raises:
            InputInvalid: It cannot be joined; see :meth:`aiki_celery.journal.transactions.joins.Joins.join`.
        """
        self._journal.ensure_ready()
        transaction = self._journal.joins.join(session, owner)
        return Joined(self._journal, transaction, send or self._dispatcher.publish, self._hooks)

    def publish(self, envelopes: Sequence[Envelope]) -> None:
        """Send messages. Those the broker does not accept are noted in the journal, for a sweep to send."""
        refused = self._dispatcher.publish(envelopes)
        unsent = set(refused)
        if refused:
            logger.warning(
                "The broker refused the messages of %d run(s), %s first; they are journaled, and a worker sends them.",
                len(refused),
                refused[0],
            )
            self._journal.timers.mark_unpublished(refused)
        handed_out = [envelope.run_id for envelope in envelopes if envelope.kind is RunKind.FOREIGN]
        if handed_out:
            self._journal.adoptions.mark_handed_out(set(handed_out) - unsent)
        if self._hooks:
            for envelope in envelopes:
                if envelope.run_id not in unsent:
                    self._hooks.emit(RunPublished(envelope.run_id, envelope.workflow))

    def new_run(
        self,
        workflow: Workflow[..., Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        options: StartOptions,
        queue: str | None,
    ) -> NewRun:
        """Validate the arguments and make the run that is to be written.

        Raises:
            InputInvalid: They do not fit.
        """
        bound = workflow.signature.bind_input(args, kwargs)
        return self.run_of(workflow, bound.values, bound.text, options, queue)

    def new_runs(
        self,
        workflow: Workflow[..., Any],
        calls: Sequence[Sequence[Any]],
        options: StartOptions,
        queue: str | None,
    ) -> list[NewRun]:
        """Validate many calls, and make the runs that are to be written.

        Raises:
            InputInvalid: One of them does not fit, or they are to have one reference id.
        """
        if options.reference_id is not None:
            raise InputInvalid(
                workflow.name, "reference_id", "one reference id cannot name many runs; use enqueue"
            )
        return [self.new_run(workflow, _as_arguments(workflow, call), {}, options, queue) for call in calls]

    def run_of(
        self,
        workflow: Workflow[..., Any],
        values: Mapping[str, Any],
        text: str,
        options: StartOptions,
        queue: str | None,
        *,
        run_id: str | None = None,
        origin: str = "journal",
        request: str | None = None,
    ) -> NewRun:
        """Make the run that is to be written from validated arguments.

        Raises:
            PayloadTooLarge: They are too large.
        """
        limit = self._settings.max_payload
        return make_run(
            workflow, values, text, options, queue, limit, run_id=run_id, origin=origin, request=request
        )


def make_run(
    workflow: Workflow[..., Any],
    values: Mapping[str, Any],
    text: str,
    options: StartOptions,
    queue: str | None,
    max_payload: int,
    *,
    run_id: str | None = None,
    origin: str = "journal",
    request: str | None = None,
) -> NewRun:
    """Make the run that is to be written from validated arguments.

    Raises:
        PayloadTooLarge: They have more than ``max_payload`` bytes.
    """
    deadline, deadline_at = _deadline(workflow, options)
    size = len(text.encode())
    if size > max_payload:
        raise PayloadTooLarge(workflow.name, "the input", size, max_payload)
    return NewRun(
        id=run_id or new_run_id(),
        workflow=workflow.name,
        version=workflow.version,
        input=text,
        input_hash=workflow.signature.hash(values),
        encoding=ENCODING_VERSION,
        origin=origin,
        reference_id=options.reference_id,
        queue=queue,
        priority=options.priority,
        request=request,
        delay=options.delay,
        due_at=options.due_at,
        tags=" ".join(options.tags) or None,
        deadline=deadline,
        deadline_at=deadline_at,
    )


def _deadline(workflow: Workflow[..., Any], options: StartOptions) -> tuple[float | None, int | None]:
    """Give a run's deadline: seconds from its start in the journal, or an instant in microseconds."""
    if options.deadline_at is not None:
        return None, options.deadline_at
    seconds = workflow.settings.deadline if options.deadline is None else options.deadline
    if seconds is None:
        return None, None
    if options.due_at is not None:
        return None, options.due_at + int(seconds * MICROSECOND)
    return seconds + (options.delay or 0.0), None


def _as_arguments(workflow: Workflow[..., Any], call: Any) -> Sequence[Any]:
    if not isinstance(call, (tuple, list)):
        raise InputInvalid(
            workflow.name, "", f"each call is a tuple of arguments, as in [(order,)], not {call!r:.60}"
        )
    return call
