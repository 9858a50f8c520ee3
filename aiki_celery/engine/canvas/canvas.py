"""Plays a canvas within one run: its tasks are steps, each known by its place in the canvas.

A canvas is a program without choices: what is to be done next follows from what is over. So it needs no record of the
order in which its tasks ended. Each pass plays it anew: a task that is recorded at its place gives its outcome, one
that is not is started, and where nothing can go on, the run waits.

What is played is a *plan*, plain JSON made from signatures by ``celery_binding/canvas``:

- ``{"do": "task", "signature": ...}``, a Celery task or a workflow;
- ``{"do": "chain", "steps": [...]}``, each of which gets the result of the one before;
- ``{"do": "group", "steps": [...], "args", "kwargs", "body"}``: all at once; the result is the list of theirs. One that
  is a chord's header has a ``body`` if that has error callbacks, which hear of its failure.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_core import from_json

from aiki_celery.definitions.future import StepFuture
from aiki_celery.engine.canvas.branches import Branch, Running, Until, lots_of, waiting_branches
from aiki_celery.engine.canvas.steps import CanvasSteps
from aiki_celery.engine.context import WorkflowRun
from aiki_celery.engine.joining import wait_for
from aiki_celery.engine.put_aside import FailedStep
from aiki_celery.errors import ValueRejected
from aiki_celery.model.status import StepStatus

Plan = Mapping[str, Any]


def play(run: WorkflowRun, plan: Plan, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Play a canvas within a run, and give its result.

    Args:
        run: The run.
        plan: The canvas.
        args: What its first tasks get before their own arguments.
        kwargs: What its first tasks get besides their own arguments.

    Raises:
        RunSuspended: It waits for a step.
        Exception: A step failed, and everything that does not depend on it is done; the first error of the canvas.
    """
    return Player(run).play(plan, args, kwargs)


class Failed(Exception):
    """The canvas, or a part of it, has failed.

    Args:
        error: Why.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


class Player:
    """Plays one canvas in one pass.

    Args:
        run: The run.
    """

    def __init__(self, run: WorkflowRun) -> None:
        self._pass = run._pass
        self._run = run
        self._steps = CanvasSteps(self._pass, run)
        self._ready: deque[tuple[Running, Any]] = deque()
        self._redone: set[int] = set()

    def play(self, plan: Plan, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Play a canvas to its end and give its result; see :func:`play`."""
        self._pass.check()
        self._pass.record.has_order = False
        root = Running(self._play(plan, "", args, kwargs, is_last=True))
        self._ready.append((root, None))
        while True:
            while self._ready:
                self._advance(*self._ready.popleft())
            if root.is_over:
                break
            self._wait(root)
        result = root.outcomes[0]
        if isinstance(result, Failed):
            # A retry puts these aside, and keeps whatever else has ended since the first of them failed.
            if places := tuple(sorted(self._redone)):
                reached = self._pass.record.last_seq
                self._pass.failed.append(FailedStep(result.error, places[0], places, reached))
            raise result.error
        return result

    def _play(
        self, plan: Plan, place: str, args: Sequence[Any], kwargs: Mapping[str, Any], *, is_last: bool
    ) -> Branch:
        if plan["do"] == "task":
            try:
                future = self._steps.start(plan["signature"], place, args, kwargs)
            except ValueRejected as error:
                raise Failed(error) from None
            result = yield Until(future, is_last)
        elif plan["do"] == "chain":
            result = yield from self._play_chain(plan, place, args, kwargs, is_last)
        else:
            result = yield from self._play_group(plan, place, args, kwargs, is_last)
        return result

    def _play_chain(
        self, plan: Plan, place: str, args: Sequence[Any], kwargs: Mapping[str, Any], is_last: bool
    ) -> Branch:
        result = None
        end = len(plan["steps"]) - 1
        for index, step in enumerate(plan["steps"]):
            last = is_last and index == end
            result = yield from self._play(step, f"{place}.{index}", args, kwargs, is_last=last)
            args, kwargs = [result], {}
        return result

    def _play_group(
        self, plan: Plan, place: str, args: Sequence[Any], kwargs: Mapping[str, Any], is_last: bool
    ) -> Branch:
        args, kwargs = [*args, *plan.get("args", ())], {**plan.get("kwargs", {}), **kwargs}
        branches = [
            self._play(step, f"{place}.{index}", args, kwargs, is_last=True)
            for index, step in enumerate(plan["steps"])
        ]
        try:
            results = yield Until(branches, is_last)
        except Failed as failed:
            if plan.get("body") is not None:
                told = self._steps.tell_errbacks(plan["body"], failed.error, f"{place}.error")
                self._redone.add(told.record.seq)
            raise
        return results

    def _advance(self, running: Running, outcome: Any) -> None:
        """Give a branch what it waited for, and see what it waits for next."""
        try:
            go_on = running.branch.throw if isinstance(outcome, Failed) else running.branch.send
            until = go_on(outcome)
        except StopIteration as end:
            self._settle(running, end.value)
            return
        except Failed as failed:
            self._settle(running, failed)
            return
        running.is_last = until.is_last
        if isinstance(until.what, StepFuture):
            running.waits_for, running.below = until.what, []
            self._look(running)
            return
        running.waits_for = None
        running.below = [Running(branch, running, index) for index, branch in enumerate(until.what)]
        running.outcomes, running.left = [None] * len(running.below), len(running.below)
        if not running.below:
            self._ready.append((running, []))
        self._ready.extend((below, None) for below in running.below)

    def _settle(self, running: Running, outcome: Any) -> None:
        running.is_over = True
        above = running.above
        if above is None:
            running.outcomes = [outcome]
            return
        above.outcomes[running.index] = outcome
        above.left -= 1
        if above.left == 0:
            failed = next((one for one in above.outcomes if isinstance(one, Failed)), None)
            self._ready.append((above, failed or above.outcomes))

    def _look(self, running: Running) -> None:
        """Let a branch go on if the step it waits for is over."""
        future = running.waits_for
        if future is None or future.record.status is StepStatus.STARTED:
            return
        if future.record.status is StepStatus.COMPLETED:
            self._ready.append((running, from_json(future.record.value or "null")))
            return
        self._redone.add(future.record.seq)
        (error,) = self._run.gather(future, return_exceptions=True)
        self._ready.append((running, Failed(error)))

    def _wait(self, root: Running) -> None:
        """Wait until something can go on.

        Where one lot of steps is all there is, as in a plain chord, the run is resumed once, when they are all over.
        Else a step that something follows resumes it when it is over; and of a lot that only counts as a whole, one
        that is not over is watched, for the whole cannot be over before it.
        """
        lots = list(lots_of(root))
        if len(lots) == 1:
            wait_for(self._pass, lots[0], need_all=True)
        else:
            wait_for(self._pass, [lot[-1] for lot in lots], need_all=False)
        for running in waiting_branches(root):
            self._look(running)
