"""What the workflow's code may know of its run, and draw from it: the same on every replay."""

from __future__ import annotations

import hashlib
import uuid
from datetime import datetime
from typing import Any

from aiki_celery.definitions.options import check_patch
from aiki_celery.engine.current_pass import Pass
from aiki_celery.engine.fact_records import new_fact
from aiki_celery.engine.patching import patched
from aiki_celery.engine.run_log import ReplayAwareLog
from aiki_celery.errors import InputInvalid
from aiki_celery.model.clock import to_datetime
from aiki_celery.model.status import StepKind


class RunFacts:
    """What a run is called, its time and its randomness.

    Args:
        current: The pass of the run.
    """

    def __init__(self, current: Pass) -> None:
        self._pass = current
        self._draws = {"uuid4": 0, "random": 0}
        self._patches: dict[str, bool] = {}
        self.log = ReplayAwareLog(self.own_id, self.name, current.record)

    @property
    def id(self) -> str:
        """Id of the run, which is also its Celery task id.

        In a fork, as long as the code replays what another run has done, that one's: steps that it was given to are
        found.
        """
        return self._maker(self._rounds())[0]

    @property
    def own_id(self) -> str:
        """Id of the run itself, in a fork too."""
        return self._pass.claim.run_id

    @property
    def name(self) -> str:
        """Name of the workflow."""
        return self._pass.claim.workflow

    @property
    def version(self) -> str:
        """Version the run started with."""
        return self._pass.claim.version

    @property
    def reference_id(self) -> str | None:
        """The caller's own name for the run, if it gave one."""
        return self._pass.claim.reference_id

    @property
    def attempt(self) -> int:
        """Which attempt of the whole workflow this is, counting from 1. A crash costs none."""
        return self._pass.claim.attempt

    @property
    def generation(self) -> int:
        """How often the run has gone on as new: 0 at first, see :meth:`WorkflowRun.continue_as_new`."""
        return self._pass.claim.generation

    @property
    def scheduled_for(self) -> datetime | None:
        """The due time for which a schedule has started the run, an aware UTC ``datetime``; None if none has."""
        due = self._pass.claim.scheduled_for
        return None if due is None else to_datetime(due)

    @property
    def is_replaying(self) -> bool:
        """Whether the code is still within what was recorded by an earlier pass."""
        return self._pass.record.is_replaying

    def now(self) -> datetime:
        """Give the current instant as an aware UTC ``datetime``: the same on every replay. Costs one write."""
        current = self._pass
        current.check()
        recorded = current.record.take_fact("now")
        if recorded is not None:
            return to_datetime(recorded.started_at)
        current.cancel_here()
        recorded = new_fact(current, StepKind.NOW, "now")
        current.write(recorded)
        return to_datetime(recorded.started_at)

    def uuid4(self) -> uuid.UUID:
        """Give a random UUID: the same on every replay. Derived from the run's id; costs no write."""
        return uuid.UUID(bytes=self._draw("uuid4"), version=4)

    def random(self) -> float:
        """Give a random number from 0 up to but not including 1: the same on every replay. Costs no write."""
        return (int.from_bytes(self._draw("random")[:8], "big") >> 11) / (1 << 53)

    def patched(self, name: str) -> bool:
        """Tell whether this run takes code that was inserted under runs in flight: the same on every replay.

        True for runs that had not come to this call when the code was deployed, False for those that had been further.
        Costs one write, the first time. Once no run is left for which it is False, take the call away and keep the
        code; the runs that have it recorded do not mind.

        Args:
            name: What the patch is called. Calls with one name get one answer, and a name is not used for another one.

        Raises:
            InputInvalid: The name is empty, too long, or not printable.
        """
        self._pass.check()
        name = check_patch(self.name, name)
        if name not in self._patches:
            self._patches[name] = patched(self._pass, name)
        return self._patches[name]

    def _draw(self, kind: str) -> bytes:
        self._pass.check()
        self._draws[kind] += 1
        rounds = self._rounds()
        run_id, generation = self._maker(rounds)
        seed = f"{run_id}/{kind}/{f'{generation}.' if generation else ''}{self._draws[kind]}"
        if rounds:
            # What a saga has undone is done anew, and what has to be unique is another one then.
            seed += f"/{len(rounds)}"
        return hashlib.blake2b(seed.encode(), digest_size=16).digest()

    def _rounds(self) -> list[int]:
        """Give the places of the markers by which what follows was undone."""
        record = self._pass.record
        return record.aside.rounds(record.place)

    def _maker(self, rounds: list[int]) -> tuple[str, int]:
        """Give the run, and its generation, that does what follows: who does anew what was undone is who said so."""
        return self._pass.maker_of(max([self._pass.record.place + 1, *rounds[-1:]]))

    def _converted(self, argument: str, convert: Any, value: Any) -> Any:
        try:
            return convert(value)
        except (TypeError, ValueError, AttributeError) as error:
            raise InputInvalid(self.name, argument, str(error)) from error

    def __repr__(self) -> str:
        return f"<WorkflowRun {self.name}@{self.version} {self.own_id}>"
