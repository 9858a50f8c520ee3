"""What ``.options(...)`` sets: on a start of a run, and on a step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from aiki_celery.definitions.retry import Retry
from aiki_celery.errors import DefinitionInvalid, InputInvalid
from aiki_celery.model.clock import from_datetime, to_seconds

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.orm import Session, scoped_session

    #: What has a transaction of SQLAlchemy's.
    Joinable = Connection | Session | scoped_session[Any]

OnConflict = Literal["error", "return_existing"]
OnParentClose = Literal["cancel", "abandon"]

#: Longest reference id, queue name and step key, in characters: the journal's columns.
MAX_NAME = 200


@dataclass(frozen=True, slots=True)
class StartOptions:
    """How a run is started. ``due_at`` and ``deadline_at`` are instants in microseconds, the others are in seconds."""

    reference_id: str | None = None
    on_conflict: OnConflict = "error"
    delay: float | None = None
    due_at: int | None = None
    queue: str | None = None
    priority: int | None = None
    tags: tuple[str, ...] = ()
    key: str | None = None
    on_parent_close: OnParentClose = "cancel"
    deadline: float | None = None
    deadline_at: int | None = None
    session: Any = None

    def updated(
        self,
        owner: str,
        *,
        reference_id: str | None = None,
        on_conflict: OnConflict | None = None,
        delay: timedelta | float | None = None,
        eta: datetime | None = None,
        queue: str | None = None,
        priority: int | None = None,
        tags: Sequence[str] | None = None,
        key: str | None = None,
        on_parent_close: OnParentClose | None = None,
        deadline: timedelta | float | datetime | None = None,
        session: Any = None,
    ) -> StartOptions:
        """Give a copy with the options set that were given.

        Args:
            owner: Name of the workflow, for messages.
            reference_id: Your own name for the run, unique per workflow over its versions.
            on_conflict: What a taken reference id with other input does: ``"error"`` or ``"return_existing"``.
            delay: Time until the run may start.
            eta: Instant from which the run may start; an aware ``datetime``.
            queue: Celery queue the run's messages go to.
            priority: Celery priority of the run's messages, 0 to 255.
            tags: Words to find the run by.
            key: Of a child: what it is known by in its parent's record, instead of its input.
            on_parent_close: Of a child that is not over when its parent ends: ``"cancel"`` it, or ``"abandon"`` it
                to go on by itself.
            deadline: When the run is cancelled if it is not over: an aware ``datetime``, or a time counted from when
                the run may start.
            session: An SQLAlchemy session or connection on the journal's database. The run is written in its
                transaction, and the message follows its commit.

        Raises:
            InputInvalid: An option has a value that cannot be used.
        """
        changes: dict[str, Any] = {}
        if reference_id is not None:
            changes["reference_id"] = _name(owner, "reference_id", reference_id)
        if on_conflict is not None:
            if on_conflict not in ("error", "return_existing"):
                raise InputInvalid(
                    owner, "on_conflict", f"must be 'error' or 'return_existing', not {on_conflict!r}"
                )
            changes["on_conflict"] = on_conflict
        if delay is not None and eta is not None:
            raise InputInvalid(owner, "eta", "give delay or eta, not both")
        if delay is not None:
            changes.update(delay=_converted(owner, "delay", to_seconds, delay), due_at=None)
        if eta is not None:
            changes.update(due_at=_converted(owner, "eta", from_datetime, eta), delay=None)
        if queue is not None:
            changes["queue"] = _name(owner, "queue", queue)
        if priority is not None:
            changes["priority"] = _priority(owner, priority)
        if tags is not None:
            if isinstance(tags, str) or not isinstance(tags, Iterable):
                raise InputInvalid(owner, "tags", f"a list of words is expected, not {tags!r:.60}")
            changes["tags"] = tuple(_name(owner, "tags", tag) for tag in tags)
        if key is not None:
            changes["key"] = _name(owner, "key", key)
        if on_parent_close is not None:
            if on_parent_close not in ("cancel", "abandon"):
                raise InputInvalid(
                    owner, "on_parent_close", f"must be 'cancel' or 'abandon', not {on_parent_close!r}"
                )
            changes["on_parent_close"] = on_parent_close
        if isinstance(deadline, datetime):
            changes.update(deadline_at=_converted(owner, "deadline", from_datetime, deadline), deadline=None)
        elif deadline is not None:
            changes.update(deadline=_duration(owner, "deadline", deadline), deadline_at=None)
        if session is not None:
            changes["session"] = session
        return replace(self, **changes)


@dataclass(frozen=True, slots=True)
class StepOptions:
    """How a step is done.

    ``key`` sets its address by hand, ``retry`` replaces the task's policy. Of a step that is started, ``queue`` and
    ``priority`` are those of its message, and ``timeout`` is the longest time of an attempt in seconds.
    """

    key: str | None = None
    retry: Retry | None = field(default=None)
    queue: str | None = None
    priority: int | None = None
    timeout: float | None = None

    def updated(
        self,
        owner: str,
        *,
        key: str | None = None,
        retry: Retry | Mapping[str, Any] | None = None,
        queue: str | None = None,
        priority: int | None = None,
        timeout: timedelta | float | None = None,
    ) -> StepOptions:
        """Give a copy with the options set that were given.

        Args:
            owner: Name of the task, for messages.
            key: What the step is known by instead of its input.
            retry: Policy for this step alone.
            queue: Celery queue the step is sent to.
            priority: Celery priority of its message, 0 to 255.
            timeout: Longest time of one attempt, a ``timedelta`` or seconds.

        Raises:
            InputInvalid: An option has a value that cannot be used.
        """
        changes: dict[str, Any] = {}
        if key is not None:
            changes["key"] = _name(owner, "key", key)
        if retry is not None:
            changes["retry"] = _converted(owner, "retry", Retry.parse, retry)
        if queue is not None:
            changes["queue"] = _name(owner, "queue", queue)
        if priority is not None:
            changes["priority"] = _priority(owner, priority)
        if timeout is not None:
            changes["timeout"] = check_timeout(owner, timeout)
        return replace(self, **changes)


def refuse_session(owner: str, options: StartOptions, why: str) -> None:
    """Refuse ``session=`` where it would be passed over.

    Raises:
        InputInvalid: It is set.
    """
    if options.session is not None:
        raise InputInvalid(owner, "session", why)


def check_timeout(owner: str, timeout: timedelta | float) -> float:
    """Give a time limit in seconds.

    Raises:
        InputInvalid: It is not a time, or not above zero.
    """
    return _duration(owner, "timeout", timeout)


def check_queue(owner: str, queue: str) -> str:
    """Give the name of a queue.

    Raises:
        InputInvalid: It cannot be one.
    """
    return _name(owner, "queue", queue)


def check_patch(owner: str, name: str) -> str:
    """Give the name of a patch.

    Raises:
        InputInvalid: It cannot be one.
    """
    return _name(owner, "name", name)


def check_event_id(owner: str, event_id: str) -> str:
    """Give the sender's own name for an event.

    Raises:
        InputInvalid: It cannot be one.
    """
    return _name(owner, "id", event_id)


def _priority(owner: str, priority: Any) -> int:
    if isinstance(priority, bool) or not (isinstance(priority, int) and 0 <= priority <= 255):
        raise InputInvalid(owner, "priority", f"must be a whole number from 0 to 255, not {priority!r}")
    return priority


def _name(owner: str, option: str, value: Any) -> str:
    # MariaDB takes texts that differ in spaces at the end for equal.
    if (
        not isinstance(value, str)
        or not value.isprintable()
        or not 0 < len(value) <= MAX_NAME
        or value[-1] == " "
    ):
        rule = f"must be 1 to {MAX_NAME} printable characters without a space at the end"
        raise InputInvalid(owner, option, f"{rule}, not {value!r:.60}")
    return value


def _duration(owner: str, option: str, value: timedelta | float) -> float:
    seconds = float(_converted(owner, option, to_seconds, value))
    if seconds <= 0:
        raise InputInvalid(owner, option, f"must be more than zero seconds, not {value!r}")
    return seconds


def _converted(owner: str, option: str, convert: Any, value: Any) -> Any:
    try:
        return convert(value)
    except (TypeError, ValueError, AttributeError, DefinitionInvalid) as error:
        raise InputInvalid(owner, option, str(error)) from error
