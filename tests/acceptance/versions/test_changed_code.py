"""V2: a workflow's code is exchanged while a run sleeps: what is safe, and what the user sees if it is not.

Steps are found by their task and input, not by their position. So they may change places, go away and be added at the
end. What is not recorded may run only when nothing recorded is left; the run is stalled otherwise, and nothing is run.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from aiki_celery import RunStatus, WorkflowHandle, WorkflowRun, task, workflow
from aiki_celery.engine.ports import Forever
from tests.acceptance.conftest import Lab
from tests.harness.eventually import eventually
from tests.harness.invariants import check_invariants
from tests.harness.telling import tell

Body = Callable[[WorkflowRun], Any]


@task(name="versions-charge")
def charge(order: str, amount: int = 10) -> str:
    tell("charge", order=order, amount=amount)
    return f"{order} paid {amount}"


@task(name="versions-reserve")
def reserve(order: str) -> str:
    tell("reserve", order=order)
    return f"{order} reserved"


@task(name="versions-ship")
def ship(order: str) -> str:
    tell("ship", order=order)
    return f"{order} shipped"


@task(name="versions-notify")
def notify(order: str, how: str = "mail") -> str:
    tell("notify", order=order, how=how)
    return f"{order} notified by {how}"


@dataclass
class Flight:
    """A run in flight, whose code is exchanged.

    Attributes:
        lab: Where it lives.
        handle: Its handle, once it is under way.
        stalled: Ids of the runs that are meant to be stalled.
    """

    lab: Lab
    handle: WorkflowHandle[Any] | None = None
    stalled: list[str] = field(default_factory=list)

    def deploy(self, body: Body) -> Any:
        """Puts code in the place of the code before it."""

        @workflow(name="versions-flow")
        def flow(run: WorkflowRun) -> Any:
            return body(run)

        return flow

    def parked(self, body: Body) -> Flight:
        """Starts a run of this code; it sleeps after its first pass."""
        self.handle = self.deploy(body).enqueue()
        assert RunStatus.SLEEPING == self._pass(body)
        return self

    def after(self, body: Body) -> RunStatus | None:
        """Deploys code and goes on with it until the run is over or stalled; gives its state."""
        while (status := self._pass(body)) in (RunStatus.SLEEPING, RunStatus.QUEUED):
            pass
        return status

    def fresh(self, body: Body) -> Any:
        """The result of a new run of this code."""
        flight = Flight(self.lab, self.deploy(body).enqueue())
        assert RunStatus.COMPLETED == flight.after(body)
        assert flight.handle is not None
        return flight.handle.get(timeout=1)

    def done(self) -> list[str]:
        """The names of the steps that had an effect in this run, in order."""
        assert self.handle is not None
        return [
            effect["name"] for effect in self.lab.effects.all() if effect["key"].startswith(self.handle.id)
        ]

    def error(self) -> str:
        """The text of the error that the run shows."""
        assert self.handle is not None
        return str(json.loads(self.handle.refresh().error or "{}").get("message"))

    def _pass(self, body: Body) -> RunStatus | None:
        assert self.handle is not None
        binding, run_id, flow = self.lab.aiki.binding, self.handle.id, self.deploy(body)
        taken = eventually(
            lambda: binding.executor.claim(run_id, binding.process.owner()), 5, "the sleep to be over"
        )
        return binding.executor.run(flow, *taken, Forever(), told=True).status


@pytest.fixture
def flight(embedded_lab: Lab) -> Iterator[Flight]:
    """A run that is not under way yet; at the end, everything is at rest."""
    flight = Flight(embedded_lab)
    yield flight
    check_invariants(embedded_lab.journal, embedded_lab.effects, stalled=flight.stalled)


def original(run: WorkflowRun) -> list[str]:
    done = [reserve.run(run, "o-1"), charge.run(run, "o-1")]
    run.sleep(0.01, name="grace")
    return [*done, ship.run(run, "o-1")]


RESULT = ["o-1 reserved", "o-1 paid 10", "o-1 shipped"]


def test_reordered_steps_keep_their_results(flight: Flight) -> None:
    """Two that the run has recorded change places: each keeps its own outcome, and neither is run again."""

    def reordered(run: WorkflowRun) -> list[str]:
        paid = charge.run(run, "o-1")
        reserved = reserve.run(run, "o-1")
        run.sleep(0.01, name="grace")
        return [reserved, paid, ship.run(run, "o-1")]

    assert RunStatus.COMPLETED == flight.parked(original).after(reordered)
    assert (RESULT, ["reserve", "charge", "ship"]) == (flight.handle.get(1), flight.done())  # type: ignore[union-attr]


def test_removed_step_is_not_missed(flight: Flight) -> None:
    """One that was still to come, and a wait: the run goes on without them."""

    def longer(run: WorkflowRun) -> list[str]:
        done = [reserve.run(run, "o-1"), charge.run(run, "o-1")]
        run.sleep(0.01, name="grace")
        notify.run(run, "o-1")
        return [*done, ship.run(run, "o-1")]

    assert RunStatus.COMPLETED == flight.parked(longer).after(original)
    assert ["reserve", "charge", "ship"] == flight.done()


def test_recorded_step_may_be_removed_where_no_new_one_follows(flight: Flight) -> None:
    """Its outcome is left unread, and nobody asks for what is not recorded."""

    def ends_with_a_wait(run: WorkflowRun) -> list[str]:
        done = [reserve.run(run, "o-1"), charge.run(run, "o-1")]
        run.sleep(0.01, name="grace")
        return done

    def without_reserve(run: WorkflowRun) -> list[str]:
        done = [charge.run(run, "o-1")]
        run.sleep(0.01, name="grace")
        return done

    assert RunStatus.COMPLETED == flight.parked(ends_with_a_wait).after(without_reserve)
    assert (["o-1 paid 10"], ["reserve", "charge"]) == (flight.handle.get(1), flight.done())  # type: ignore[union-attr]


def test_appended_step_is_run(flight: Flight) -> None:
    """What comes after everything recorded is simply next."""

    def appended(run: WorkflowRun) -> list[str]:
        return [*original(run), notify.run(run, "o-1")]

    assert RunStatus.COMPLETED == flight.parked(original).after(appended)
    assert ["reserve", "charge", "ship", "notify"] == flight.done()


def stalls(flight: Flight, changed: Body, asked: str, recorded: list[str]) -> None:
    """The run is stalled, says what was asked for and what is recorded, and has done nothing more; mended, it ends."""
    before = flight.parked(original).done()
    assert RunStatus.STALLED == flight.after(changed)
    assert flight.handle is not None
    seen = flight.handle.refresh()
    assert (RunStatus.STALLED, "diverged") == (seen.status, seen.reason)
    message = flight.error()
    assert f"the code asks for step {asked}:" in message
    assert "recorded steps were not asked for: " in message
    told = message.partition("not asked for: ")[2].partition(". The code")[0]
    assert recorded == [address.partition(":")[0] for address in told.split(", ")]
    assert "Nothing was run; deploy code that fits the record and requeue the run." in message
    assert before == flight.done(), "no step was run by code that does not fit"

    flight.handle.requeue()
    assert RunStatus.STALLED == flight.after(changed), "requeued without a fix, it comes to the same"
    flight.handle.requeue()
    assert RunStatus.COMPLETED == flight.after(original)
    assert (RESULT, ["reserve", "charge", "ship"]) == (flight.handle.get(1), flight.done())


def test_inserted_step_stalls_the_run(flight: Flight) -> None:
    """It stands before one that is recorded: running it now would be too late."""

    def inserted(run: WorkflowRun) -> list[str]:
        done = [reserve.run(run, "o-1"), notify.run(run, "o-1"), charge.run(run, "o-1")]
        run.sleep(0.01, name="grace")
        return [*done, ship.run(run, "o-1")]

    stalls(flight, inserted, "versions-notify", ["versions-charge"])


def test_changed_input_stalls_the_run(flight: Flight) -> None:
    """It would be another charge, beside the one that was made."""

    def dearer(run: WorkflowRun) -> list[str]:
        done = [reserve.run(run, "o-1"), charge.run(run, "o-1", 12)]
        run.sleep(0.01, name="grace")
        return [*done, ship.run(run, "o-1")]

    stalls(flight, dearer, "versions-charge", ["versions-charge"])


def test_changed_control_flow_stalls_the_run(flight: Flight) -> None:
    """What decides on the branch is no step: a setting, the time of day, the weather."""
    setting = {"notify first": True}

    def branching(run: WorkflowRun) -> list[str]:
        if setting["notify first"]:
            notify.run(run, "o-1")
            run.sleep(0.01, name="grace")
            return [charge.run(run, "o-1")]
        return original(run)

    stalls(flight, branching, "versions-notify", ["versions-reserve", "versions-charge"])


def test_removed_recorded_step_stalls_the_run_at_the_next_new_one(flight: Flight) -> None:
    """Nobody can tell it from a renamed step, which would be done twice."""

    def without_reserve(run: WorkflowRun) -> list[str]:
        done = [charge.run(run, "o-1")]
        run.sleep(0.01, name="grace")
        return [*done, ship.run(run, "o-1")]

    stalls(flight, without_reserve, "versions-ship", ["versions-reserve"])


def guarded(run: WorkflowRun) -> list[str]:
    done = [reserve.run(run, "o-1")]
    if run.patched("notify-before-charge"):
        done.append(notify.run(run, "o-1"))
    done.append(charge.run(run, "o-1"))
    run.sleep(0.01, name="grace")
    return [*done, ship.run(run, "o-1")]


def test_guarded_insert_lets_the_run_go_on(flight: Flight) -> None:
    """The run in flight goes on without it, a new one has it; later the guard is taken away."""
    assert RunStatus.COMPLETED == flight.parked(original).after(guarded)
    assert (RESULT, ["reserve", "charge", "ship"]) == (flight.handle.get(1), flight.done())  # type: ignore[union-attr]
    new = ["o-1 reserved", "o-1 notified by mail", "o-1 paid 10", "o-1 shipped"]
    assert new == flight.fresh(guarded)

    def bare(run: WorkflowRun) -> list[str]:
        done = [reserve.run(run, "o-1"), notify.run(run, "o-1"), charge.run(run, "o-1")]
        run.sleep(0.01, name="grace")
        return [*done, ship.run(run, "o-1")]

    later = Flight(flight.lab)
    assert RunStatus.COMPLETED == later.parked(guarded).after(bare)
    assert (new, new) == (later.handle.get(1), flight.fresh(bare))  # type: ignore[union-attr]


def test_guard_mends_a_run_that_an_insert_has_stalled(flight: Flight) -> None:
    """Deployed afterwards, it fits the record: the run goes on without the step."""

    def inserted(run: WorkflowRun) -> list[str]:
        done = [reserve.run(run, "o-1"), notify.run(run, "o-1"), charge.run(run, "o-1")]
        run.sleep(0.01, name="grace")
        return [*done, ship.run(run, "o-1")]

    assert RunStatus.STALLED == flight.parked(original).after(inserted)
    assert flight.handle is not None
    flight.handle.requeue()
    assert RunStatus.COMPLETED == flight.after(guarded)
    assert (RESULT, ["reserve", "charge", "ship"]) == (flight.handle.get(1), flight.done())


def test_guarded_removal_lets_the_run_go_on(flight: Flight) -> None:
    """Who has done the step asks for it still; who has not goes on without."""

    def without_reserve(run: WorkflowRun) -> list[str]:
        done = [] if run.patched("no-reserve") else [reserve.run(run, "o-1")]
        done.append(charge.run(run, "o-1"))
        run.sleep(0.01, name="grace")
        return [*done, ship.run(run, "o-1")]

    assert RunStatus.COMPLETED == flight.parked(original).after(without_reserve)
    assert (RESULT, RESULT[1:]) == (flight.handle.get(1), flight.fresh(without_reserve))  # type: ignore[union-attr]
