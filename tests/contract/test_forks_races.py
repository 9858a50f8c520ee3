"""Forks while the run they are made from goes on: what is copied is always a part of one record."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from aiki_celery.engine.fork_plan import Wish
from aiki_celery.engine.forking import fork
from aiki_celery.journal.journal import Journal
from aiki_celery.model.records import Claim, Envelope
from aiki_celery.model.status import RunStatus
from tests.contract.failing import lost_answer
from tests.contract.families import Parent, children_of, end, launched, taken, wait_for, wake_ups
from tests.contract.interleaving import Interleaving, Outcome
from tests.contract.rows import count, run_row, wipe
from tests.contract.stories import BOB, claimed, queued, step, token
from tests.harness.invariants import check_families

PLAIN = Wish(None, None, None)


def test_fork_while_the_run_records(journal: Journal) -> None:
    """The copy has the record with its last step or without it, and no hole."""
    lengths = set()

    def prepare() -> Claim:
        wipe(journal)
        claim = claimed(journal)
        write(journal, claim, 1)
        return claim

    def check(claim: Claim, outcome: Outcome) -> None:
        made = outcome.first
        assert isinstance(made, Envelope), made
        places = [record.seq for record in journal.views.steps(made.run_id)]
        assert [1, 2][: len(places)] == places
        assert [1, 2] == [record.seq for record in journal.views.steps(claim.run_id)]
        lengths.add(len(places))

    def one(claim: Claim) -> Envelope:
        return fork(journal, claim.run_id, PLAIN)

    Interleaving(journal, prepare, one, partial(append, journal), check).explore()
    assert {1, 2} == lengths


def append(journal: Journal, claim: Claim) -> None:
    """Records the second step."""
    write(journal, claim, 2)


def write(journal: Journal, claim: Claim, place: int) -> None:
    """Records a step."""
    writing = journal.begin_pass(claim)
    try:
        writing.append(step(place))
    finally:
        writing.close()


@pytest.mark.parametrize("swapped", [False, True], ids=["the fork stops", "the other stops"])
def test_fork_while_a_started_step_ends(journal: Journal, swapped: bool) -> None:
    """Either the fork finds its outcome, or it is told: it never waits for ever."""
    followed = set()

    def prepare() -> tuple[Parent, Claim]:
        wipe(journal)
        parent = launched(journal, 1)
        return parent, taken(journal, parent.children[1])

    def check(scene: tuple[Parent, Claim], outcome: Outcome) -> None:
        made = outcome.second if swapped else outcome.first
        assert isinstance(made, Envelope), made
        [row] = children_of(journal, scene[0].id)
        assert RunStatus.COMPLETED == row.status, outcome
        copy = claimed(journal, made.run_id, BOB)
        # It looks at what it waits for, as it is now, and does not wait.
        assert not wait_for(journal, copy, {1})
        followed.add(row.followers)
        check_families(journal.connections.engine)

    def one(scene: tuple[Parent, Claim]) -> Envelope:
        return fork(journal, scene[0].id, PLAIN)

    def other(scene: tuple[Parent, Claim]) -> list[str]:
        return end(journal, scene[1])

    Interleaving(journal, prepare, *((other, one) if swapped else (one, other)), check).explore()
    assert {0, 1} == followed


def test_fork_that_waits_is_woken_with_its_origin(journal: Journal) -> None:
    """Both waited for the same started step."""
    parent = launched(journal, 2)
    made = fork(journal, parent.id, PLAIN)
    copy = claimed(journal, made.run_id, BOB)
    assert wait_for(journal, copy, {1, 2})
    assert wait_for(journal, parent.claim, {1, 2})
    for place in (1, 2):
        end(journal, taken(journal, parent.children[place]))
    assert [1, 1] == [wake_ups(journal, one) for one in (parent.id, made.run_id)]


@pytest.mark.parametrize("swapped", [False, True], ids=["the fork stops", "the other stops"])
def test_fork_while_the_run_is_cancelled(journal: Journal, swapped: bool) -> None:
    """Its step is cancelled with it, and the fork starts another one; or goes on, because the fork waits for it."""
    ways = set()

    def prepare() -> Parent:
        wipe(journal)
        parent = launched(journal, 1)
        assert wait_for(journal, parent.claim, {1})
        return parent

    def check(parent: Parent, outcome: Outcome) -> None:
        made = outcome.second if swapped else outcome.first
        assert isinstance(made, Envelope), made
        [row] = children_of(journal, parent.id)
        markers = [record.name for record in journal.views.steps(made.run_id) if record.kind == "retry"]
        ways.add((row.status, row.followers, tuple(markers)))

    def one(parent: Parent) -> Envelope:
        return fork(journal, parent.id, PLAIN)

    def other(parent: Parent) -> Any:
        return journal.control.cancel(parent.id, "not needed")

    Interleaving(journal, prepare, *((other, one) if swapped else (one, other)), check).explore()
    assert {("cancelled", 0, ("forked",)), ("queued", 1, ())} == ways


@pytest.mark.parametrize("swapped", [False, True], ids=["the fork stops", "the other stops"])
def test_fork_while_the_run_continues_as_new(journal: Journal, swapped: bool) -> None:
    """It is a copy of the one generation or of the other, input and record alike."""
    seen = set()

    def prepare() -> Claim:
        wipe(journal)
        claim = claimed(journal)
        write(journal, claim, 1)
        return claim

    def check(claim: Claim, outcome: Outcome) -> None:
        made = outcome.second if swapped else outcome.first
        assert isinstance(made, Envelope), made
        row = run_row(journal, made.run_id)
        seen.add((row.input, row.base_seq, len(journal.views.steps(made.run_id))))

    def one(claim: Claim) -> Envelope:
        return fork(journal, claim.run_id, PLAIN)

    def other(claim: Claim) -> Any:
        return journal.renewals.renew(claim, '{"new":1}', last_seq=1, consumed=[], spent={}, closes=False)

    Interleaving(journal, prepare, *((other, one) if swapped else (one, other)), check).explore()
    assert {('{"name":"Ann"}', 0, 1), ('{"new":1}', 1, 0)} == seen


def test_fork_whose_answer_is_lost_is_one(journal: Journal) -> None:
    """The second try finds what the first has committed; so with a reference id."""
    claim = claimed(journal)
    write(journal, claim, 1)
    with lost_answer(journal):
        made = fork(journal, claim.run_id, Wish(None, None, "mine"))
    assert (2, 2) == (count(journal, "runs"), count(journal, "steps"))
    assert "mine" == run_row(journal, made.run_id).reference_id


def test_renewal_that_races_with_a_send_loses_no_event(journal: Journal) -> None:
    """The event is in the inbox of the generation that goes on."""

    def prepare() -> Claim:
        wipe(journal)
        return claimed(journal)

    def check(claim: Claim, outcome: Outcome) -> None:
        assert not isinstance(outcome.first, BaseException), outcome
        assert 1 == len(journal.inbox.received(claim.run_id))
        again = journal.claims.claim(claim.run_id, BOB, token())
        assert again is not None
        assert (1, 1) == (again[0].generation, len(again[0].inbox))

    def one(claim: Claim) -> Any:
        return journal.renewals.renew(claim, "{}", last_seq=0, consumed=[], spent={}, closes=False)

    def other(claim: Claim) -> Any:
        return journal.inbox.send(claim.run_id, "ping", "1", "id-1")

    Interleaving(journal, prepare, one, other, check).explore()
    Interleaving(journal, prepare, other, one, check).explore()


def test_forked_run_that_nobody_has_taken_begins_with_its_record(journal: Journal) -> None:
    """Its first claim reads what was copied, though no claim of it has written that."""
    claim = claimed(journal)
    write(journal, claim, 1)
    made = fork(journal, claim.run_id, PLAIN)
    taken_ = journal.claims.claim(made.run_id, BOB, token())
    assert taken_ is not None
    assert [(1, 0)] == [(record.seq, record.epoch) for record in taken_[1]]
    assert queued(journal) != made.run_id
