"""Celery tasks that runs have started, brought to where a test begins."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from aiki_celery.journal.journal import Journal
from aiki_celery.model.records import Claim, NewChild, Owner
from aiki_celery.model.status import RunKind
from tests.contract.families import Parent, starts, wait_for
from tests.contract.stories import BOB, claimed, token

#: What the journal keeps of each call.
CALL = '{"run":"r","workflow":"greet","address":"resize:1","secret":"s"}'


def adopting(journal: Journal, count: int = 1, kind: RunKind = RunKind.ADOPTED, **run_facts: Any) -> Parent:
    """A run that is held and has started so many Celery tasks."""
    claim = claimed(journal)
    records, children = starts(claim, range(1, count + 1))
    adopted: list[NewChild] = [
        replace(child, kind=kind, call=CALL, run=replace(child.run, **run_facts)) for child in children
    ]
    journal.launches.launch(claim, records, adopted)
    return Parent(claim, {child.parent_seq: child.run.id for child in adopted})


def adopting_and_waiting(journal: Journal, count: int = 1, kind: RunKind = RunKind.ADOPTED) -> Parent:
    """A run that waits for the Celery tasks it has started."""
    parent = adopting(journal, count, kind)
    assert wait_for(journal, parent.claim, set(parent.children))
    return parent


def take(journal: Journal, run_id: str, attempt: int = 1, owner: Owner = BOB) -> Claim | None:
    """Takes a started Celery task for one of its tries."""
    return journal.adoptions.claim(run_id, attempt, owner, token())


def taken(journal: Journal, run_id: str, attempt: int = 1, owner: Owner = BOB) -> Claim:
    """The claim of one of its tries."""
    claim = take(journal, run_id, attempt, owner)
    assert claim is not None
    return claim
