"""The table of transitions, written out."""

from __future__ import annotations

import itertools

import pytest

from aiki_celery.model.status import TERMINAL, TIMED, RunStatus
from aiki_celery.model.transitions import TRANSITIONS, is_allowed, sources_of

#: From each state (left), the states a run may go to. `x`: allowed.
TABLE = """
                 sche queu runn slee aeve aret aste paus stal comp fail canc
scheduled        .    x    x    .    .    .    .    x    .    .    .    x
queued           .    .    x    .    .    .    .    x    x    x    x    x
running          .    x    .    x    x    x    x    x    x    x    x    x
sleeping         .    x    x    .    .    .    .    x    .    .    .    x
awaiting_event   .    x    x    .    .    .    .    x    .    .    .    x
awaiting_retry   .    x    x    .    .    .    .    x    .    x    x    x
awaiting_steps   .    x    x    .    .    .    .    x    .    .    .    x
paused           x    x    .    .    .    .    .    .    .    .    .    x
stalled          .    x    .    .    .    .    .    .    .    x    x    x
completed        .    .    .    .    .    .    .    .    .    .    .    .
failed           .    x    .    .    .    .    .    .    .    .    .    .
cancelled        .    .    .    .    .    .    .    .    .    .    .    .
"""


def written_out() -> set[tuple[RunStatus, RunStatus]]:
    """The pairs allowed in the table above."""
    allowed = set()
    for line in TABLE.strip().splitlines()[1:]:
        source, *cells = line.split()
        allowed |= {
            (RunStatus(source), target) for target, cell in zip(RunStatus, cells, strict=True) if cell == "x"
        }
    return allowed


@pytest.mark.parametrize(("source", "target"), list(itertools.product(RunStatus, RunStatus)))
def test_transition_is_as_written_out(source: RunStatus, target: RunStatus) -> None:
    """Each pair of states is allowed or not, and nothing else says otherwise."""
    expected = (source, target) in written_out()
    assert (expected, expected) == (is_allowed(source, target), source in sources_of(target))


def test_transitions_cover_every_state() -> None:
    """No state is left out of the table."""
    assert set(RunStatus) == set(TRANSITIONS)


def test_terminal_states_are_left_by_hand_only() -> None:
    """What is over stays over; only a failed run can be queued again, by its user."""
    leaving = {source: TRANSITIONS[source] for source in TERMINAL if TRANSITIONS[source]}
    assert {RunStatus.FAILED: {RunStatus.QUEUED}} == leaving
    assert {RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED} == {
        s for s in RunStatus if s.is_terminal
    }


def test_timed_states_can_be_queued_and_taken() -> None:
    """What ends by itself when its time has come can be queued by a sweep, or taken by a message that is early."""
    assert TIMED <= set(sources_of(RunStatus.QUEUED)) & set(sources_of(RunStatus.RUNNING))


def test_status_is_its_own_text() -> None:
    """A state is written as its value."""
    assert "awaiting_event" == f"{RunStatus.AWAITING_EVENT}" == str(RunStatus.AWAITING_EVENT)
