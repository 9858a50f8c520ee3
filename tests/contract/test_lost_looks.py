"""A look whose connection is lost is made again, whoever looks: nobody hears of it."""

from __future__ import annotations

from aiki_celery.journal.journal import Journal
from tests.contract.failing import lost_look
from tests.contract.families import end, taken, wait_for
from tests.contract.rows import run_row
from tests.contract.stories import claimed, queued
from tests.contract.test_family_references import REFERENCE, start


def test_the_time_is_asked_again(journal: Journal) -> None:
    """Whoever exchanges a token or triggers a schedule asks for it first."""
    before = journal.now()
    with lost_look(journal):
        assert journal.now() >= before


def test_who_ends_a_followed_run_looks_again_for_its_followers(journal: Journal) -> None:
    """The pass is not given up, and who follows goes on at once."""
    followed = queued(journal, workflow="ship", reference_id=REFERENCE, input_hash="same")
    claim = taken(journal, followed)
    follower = claimed(journal)
    assert (followed, False) == start(journal, follower)
    assert wait_for(journal, follower, {1})

    with lost_look(journal, journal.schema.followers.name):
        woken = end(journal, claim)

    assert ([follower.run_id], "completed", "queued") == (
        woken,
        run_row(journal, followed).status,
        run_row(journal, follower.run_id).status,
    )
