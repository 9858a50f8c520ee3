"""Callbacks: of tasks, chains, groups and chords that succeed; named after Celery's own tests."""

from __future__ import annotations

from typing import Any

from celery import chain, chord, group

from tests.acceptance.canvas.both_ways import Case, note, note_only
from tests.acceptance.canvas.tasks import add, identity, tsum


def linked(sig: Any, *callbacks: Any) -> Any:
    """The signature with these callbacks."""
    for callback in callbacks:
        sig.link(callback)
    return sig


def chain_children(where: str) -> Any:
    return chain(linked(identity.si(1337), note_only(where, "called")) for _ in range(12))


CASES = {
    "link_of_a_task": Case(lambda where: linked(add.s(1, 2), note(where)), notes=1),
    "link_that_is_a_chain": Case(
        lambda where: linked(add.s(1, 2), add.s(3) | note(where) | note(where)), notes=2, in_order=True
    ),
    "link_in_a_chain": Case(lambda where: linked(add.s(1, 2), note(where)) | add.s(4), notes=1),
    "link_of_a_chain": Case(lambda where: linked(chain(add.s(1, 2), add.s(3)), note(where)), notes=1),
    "chain_flattening_keeps_links_of_inner_chain": Case(
        lambda where: chain(
            linked(chain(identity.s("a"), add.s("b", "")), note_only(where, "b")), add.s("c", "")
        ),
        notes=1,
    ),
    "chain_children_with_callbacks": Case(chain_children, notes=12),
    "callback_called_by_group": Case(
        lambda where: linked(group(identity.si(42), identity.si(1337)), note(where, "of the group")), notes=1
    ),
    "group_children_with_callbacks": Case(
        lambda where: group(linked(identity.si(1337), note(where)) for _ in range(12)), notes=12
    ),
    "link_of_a_chord": Case(lambda where: linked(chord([add.s(1, 1)], tsum.s()), note(where)), notes=1),
    "link_option_runs_after_the_body": Case(
        lambda where: chord([add.s(1, 1), add.s(2, 2)], tsum.s()).set(link=note(where)), notes=1
    ),
    "link_option_on_chain_ending_in_chord": Case(
        lambda where: chain(identity.s(1), chord([add.s(1), add.s(2)], tsum.s())).set(link=[note(where)]),
        notes=1,
    ),
    "link_option_on_group_body_runs_once": Case(
        lambda where: chord([add.s(1, 1)], group(tsum.s(), tsum.s())).set(link=note(where)), notes=1
    ),
    "link_of_the_header": Case(
        lambda where: chord([linked(add.s(1, 1), note(where)), add.s(2, 2)], tsum.s()), notes=1
    ),
    "link_of_a_map": Case(lambda where: linked(identity.map([1, 2]), note(where)), notes=1),
}
