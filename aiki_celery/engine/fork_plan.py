"""What a fork takes over from the run that it is made from.

The plan is made from what the origin has recorded so far, of which nothing ever changes; only what may have changed
since is looked at again when the fork is written.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json

from aiki_celery.definitions.registry import registry
from aiki_celery.engine.expectations import Expectations
from aiki_celery.engine.put_aside import COMPENSATED, FORKED, PutAside
from aiki_celery.engine.replay import Record
from aiki_celery.errors import InputInvalid, WrongState
from aiki_celery.journal.forks import ENDED_WITH_PARENT
from aiki_celery.journal.journal import Journal
from aiki_celery.journal.second_chances import with_places
from aiki_celery.model.fork import ForkPlan, Marker
from aiki_celery.model.origin import Origin, read_origins, write_origins
from aiki_celery.model.records import RunView, StartedView, StepRecord
from aiki_celery.model.status import RunKind, RunStatus, StepKind, StepStatus


@dataclass(frozen=True, slots=True)
class Wish:
    """What a caller wants of a fork; see :meth:`aiki_celery.WorkflowHandle.fork`."""

    from_step: int | str | None
    version: str | None
    reference_id: str | None


def plan_fork(journal: Journal, origin: RunView, new_id: str, wish: Wish) -> ForkPlan:
    """Plan a fork of a run as it is now.

    Raises:
        WrongState: It is no run of a workflow.
        InputInvalid: There is no such step or version, or the input does not fit that version.
    """
    if origin.kind is not RunKind.WORKFLOW:
        raise WrongState(
            origin.id,
            origin.status,
            f"it is a {origin.kind}; fork run {origin.parent_id}, which has started it",
        )
    version, queue = _version(origin, wish.version)
    base_seq, call = journal.forks.base_of(origin.id)
    steps, started = journal.views.steps(origin.id), journal.views.started(origin.id)
    origins = read_origins(call)
    own = {origin.id, *(earlier.run_id for earlier in origins)}
    cut = _cut(origin, base_seq, steps, wish.from_step)
    prefix = [step for step in steps if step.seq < cut]
    cut, marker = _marker(origin, prefix, cut, _ended_with(prefix, started, own), wish.from_step is None)
    copied = [*prefix, *([] if marker is None else [_as_record(marker, cut)])]
    aside = PutAside()
    starts = [step for step in aside.in_force(copied) if step.child_id and step.seq not in aside.places]
    return ForkPlan(
        run_id=new_id,
        origin_id=origin.id,
        generation=origin.generation,
        version=version,
        queue=queue,
        reference_id=wish.reference_id,
        cut=cut,
        marker=marker,
        attempt=1 + len(aside.retries),
        starts=sum(step.child_id is not None for step in prefix),
        followed=_followed(starts, started),
        consumed=_consumed(journal, origin, copied),
        call=write_origins([*_until(origins, cut), Origin(origin.id, origin.generation, cut - 1)]),
    )


def _version(origin: RunView, version: str | None) -> tuple[str, str | None]:
    """Give the version of the fork, and the queue if that version has one of its own."""
    if version is None or version == origin.version:
        return origin.version, None
    workflow = registry.workflow(origin.workflow, version)
    if workflow is None:
        known = sorted(other.version for other in registry if other.name == origin.workflow)
        raise InputInvalid(
            origin.workflow, "version", f"there is no {version!r} here; there is {', '.join(known) or 'none'}"
        )
    workflow.signature.read(origin.input)
    return version, workflow.settings.queue


def _cut(origin: RunView, base_seq: int, steps: Sequence[StepRecord], from_step: int | str | None) -> int:
    """Give the place from which on nothing is copied."""
    end = steps[-1].seq + 1 if steps else base_seq + 1
    if from_step is None:
        return _cancelled_at(steps, end) or end
    if isinstance(from_step, str):
        place = next((step.seq for step in steps if step.name == from_step), None)
        if place is None:
            raise InputInvalid(
                origin.workflow,
                "from_step",
                f"run {origin.id} has no step {from_step!r}; run show lists them",
            )
    else:
        place = from_step
        if isinstance(place, bool) or not isinstance(place, int) or not base_seq < place <= end:
            raise InputInvalid(
                origin.workflow,
                "from_step",
                f"must be {base_seq + 1} to {end} for run {origin.id}, not {place!r}",
            )
    cancelled = _cancelled_at(steps, place)
    if cancelled is not None:
        raise InputInvalid(
            origin.workflow,
            "from_step",
            f"run {origin.id} was cancelled at place {cancelled}, and place {place} is a part of its clean-up; "
            f"fork from {cancelled} or earlier",
        )
    return place


def _cancelled_at(steps: Sequence[StepRecord], end: int) -> int | None:
    """Give the place of the cancel that is in force before a place, if one is: beyond it lies the clean-up.

    A run that failed before it was told of its cancel, and was retried by hand, has gone on as if there were none.
    """
    before = [step for step in steps if step.seq < end]
    retried = [step.seq for step in before if step.kind is StepKind.RETRY and step.name != FORKED]
    cancels = (step.seq for step in before if step.kind is StepKind.CANCEL)
    return next((place for place in cancels if place > max(retried, default=0)), None)


def _marker(
    origin: RunView, prefix: Sequence[StepRecord], cut: int, ended: Collection[int], is_default: bool
) -> tuple[int, Marker | None]:
    """Give the place from which on nothing is copied, and what puts aside a part of what is."""
    failed: dict[str, Any] = {}
    if is_default and origin.status is RunStatus.FAILED:
        failed = from_json(origin.error or "{}")
    aside = failed.get("aside")
    if aside is not None and failed.get("marker") == COMPENSATED:
        # What was undone has to be known to have been done: all of it is copied.
        return cut, Marker(COMPENSATED, with_places(aside, set(ended)))
    places: set[int] = set()
    if aside is not None:
        listed, _, reached = aside.partition(";")
        cut = min(cut, int(reached) + 1 if reached else int(listed))
        places = {int(place) for place in listed.split(",")} if reached else set()
    known = {step.seq for step in prefix if step.seq < cut}
    places = (places | set(ended)) & known
    if not places:
        return cut, None
    return cut, Marker(FORKED, f"{','.join(map(str, sorted(places)))};{cut - 1}")


def _ended_with(
    prefix: Sequence[StepRecord], started: Mapping[str, StartedView], own: Collection[str]
) -> set[int]:
    """Give the places of starts that were cancelled because the origin had ended: the fork starts them again."""
    aside = PutAside()
    ended = set()
    for step in aside.in_force(prefix):
        child = started.get(step.child_id or "")
        if child is None or step.seq in aside.places or child.run.parent_id not in own:
            continue
        over_otherwise = child.run.status in (RunStatus.COMPLETED, RunStatus.FAILED)
        if child.run.cancel_reason in ENDED_WITH_PARENT and not over_otherwise:
            ended.add(step.seq)
    return ended


def _followed(starts: Sequence[StepRecord], started: Mapping[str, StartedView]) -> dict[str, tuple[int, ...]]:
    """Give the places of those that are not over, by the ids of their runs."""
    followed: dict[str, tuple[int, ...]] = {}
    for step in starts:
        child = started.get(step.child_id or "")
        if child is not None and not child.run.status.is_terminal:
            followed[child.run.id] = (*followed.get(child.run.id, ()), step.seq)
    return followed


def _consumed(journal: Journal, origin: RunView, copied: Sequence[StepRecord]) -> dict[str, int]:
    """Give the events that the copied record has consumed: by name, the number of the last one."""
    if not any(step.kind is StepKind.EVENT for step in copied):
        return {}
    inbox = journal.inbox.received(origin.id)
    known = inbox[-1].number if inbox else 0
    return Expectations(Record(copied), inbox, journal.now(), known).consumed()


def _until(origins: Sequence[Origin], cut: int) -> list[Origin]:
    """Give who made what lies before a place."""
    first = [0, *(origin.last_seq for origin in origins)]
    return [
        origin._replace(last_seq=min(origin.last_seq, cut - 1))
        for origin, before in zip(origins, first, strict=False)
        if before < cut - 1
    ]


def _as_record(marker: Marker, seq: int) -> StepRecord:
    """Give a marker as the record it will be."""
    return StepRecord(
        seq=seq,
        kind=StepKind.RETRY,
        name=marker.name,
        address="retry",
        status=StepStatus.FAILED,
        attempt=1,
        epoch=0,
        started_at=0,
        finished_at=0,
        value=marker.value,
    )
