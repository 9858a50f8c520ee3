"""Workflows whose own steps cancel and pause them, and who helps those on that wait for a hand."""

from __future__ import annotations

from aiki_celery import Aiki, RunCancelled, RunFinished, RunStatus, WorkflowRun, WrongState, task, workflow
from tests.harness.telling import tell


@task(name="crash-do")
def do(what: str) -> str:
    tell("do", what=what)
    return what


@task(name="crash-give-up")
def give_up(run_id: str) -> bool:
    """A step that is run again cancels again, which makes no difference."""
    tell("give up")
    return giving_up.handle(run_id).cancel("no seat is left")


@task(name="crash-hold-on")
def hold_on(run_id: str) -> None:
    tell("hold on")
    held_up.handle(run_id).pause()


@workflow(name="crash-giving-up")
def giving_up(run: WorkflowRun) -> str:
    """Is cancelled in a step, with starts that are not written yet, and cleans up in several passes."""
    do.run(run, "book")
    try:
        give_up.run(run, run.id)
        return do.run(run, "travel")
    except RunCancelled:
        do.run(run, "cancel the hotel")
        run.sleep(0.01)
        do.start(run, "cancel the flight").result()
        raise


@workflow(name="crash-held-up")
def held_up(run: WorkflowRun) -> list[bool]:
    """Pauses itself in a step, and sleeps until somebody wakes it."""
    hold_on.run(run, run.id)
    woken = run.sleep(3600)
    do.run(run, "go on")
    return [woken]


def lend_a_hand(aiki: Aiki, run_id: str) -> None:
    """Resumes or wakes a run that would wait for ever."""
    status = aiki.view(run_id).status
    try:
        if status is RunStatus.PAUSED:
            aiki.controller.resume(run_id)
        elif status is RunStatus.SLEEPING:
            aiki.controller.wake(run_id)
    except (WrongState, RunFinished):
        return  # somebody else was there first
