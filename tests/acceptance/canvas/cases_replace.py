"""Tasks that replace themselves while a canvas runs; named after Celery's own tests."""

from __future__ import annotations

from celery import chain, chord, group

from tests.acceptance.canvas.both_ways import Case, note, note_only
from tests.acceptance.canvas.cases_errors import heard, watched
from tests.acceptance.canvas.cases_links import linked
from tests.acceptance.canvas.tasks import (
    add,
    add_replaced,
    add_to_all,
    fail,
    fail_replaced,
    identity,
    replace_with_chain,
    replace_with_empty_chain,
    replace_with_failing_chain,
    replace_with_group_in_chain,
    replaced_twice,
    tsum,
)

CASES = {
    "task_replaced": Case(lambda _: add_replaced.s(1, 2)),
    "complex_chain": Case(
        lambda _: (
            add.s(2, 2)
            | (add.s(4) | add_replaced.s(8) | add.s(16) | add.s(32))
            | group(add.s(i) for i in range(4))
        )
    ),
    "second_order_replace": Case(lambda where: replaced_twice.si(where), notes=5, in_order=True),
    "replace_with_chain_that_contains_a_group": Case(lambda _: replace_with_group_in_chain.s()),
    "replace_chain_with_empty_chain": Case(lambda _: chain(identity.s(1), replace_with_empty_chain.s())),
    "task_replaced_with_chain": Case(lambda _: replace_with_chain.si(42)),
    "task_with_callback_replaced_with_chain": Case(
        lambda where: linked(replace_with_chain.si(42), note(where)), notes=1
    ),
    "chain_replaced_with_a_chain_and_a_callback": Case(
        lambda where: chain(
            identity.s(1), replace_with_chain.s(where=where, message="internal callback"), add.s(2)
        ),
        notes=1,
    ),
    "chain_replaced_with_a_chain_and_an_error_callback": Case(
        lambda where: chain(
            identity.s(1), replace_with_failing_chain.s(where=where, message="internal errback"), add.s(2)
        ),
        notes=1,
    ),
    "chain_with_cb_replaced_with_chain_with_cb": Case(
        lambda where: linked(
            chain(identity.s(1), replace_with_chain.s(where=where, message="internal callback"), add.s(2)),
            note(where),
        ),
        notes=2,
    ),
    "chain_with_eb_replaced_with_chain_with_eb": Case(
        lambda where: watched(
            chain(identity.s(1), replace_with_failing_chain.s(where=where, message="inner"), add.s(2)),
            heard(where, "outer"),
        ),
        notes=2,
    ),
    "chain_with_callback_child_replaced": Case(
        lambda where: linked(chain(add_replaced.si(42, 1337), identity.s()), note_only(where, "called")),
        notes=1,
    ),
    "chain_with_errback_child_replaced": Case(
        lambda where: watched(chain(add_replaced.si(42, 1337), fail.s()), heard(where)), notes=1
    ),
    "chain_child_with_callback_replaced": Case(
        lambda where: chain(linked(add_replaced.si(42, 1337), note(where)), identity.s()), notes=1
    ),
    "chain_child_with_errback_replaced": Case(
        lambda where: chain(watched(fail_replaced.si(), heard(where)), identity.si(42)), notes=1
    ),
    "chain_child_replaced_with_chain_first": Case(lambda _: chain(replace_with_chain.si(42), identity.s())),
    "chain_child_replaced_with_chain_middle": Case(
        lambda _: chain(identity.s(42), replace_with_chain.s(), identity.s())
    ),
    "chain_child_replaced_with_chain_last": Case(lambda _: chain(identity.s(42), replace_with_chain.s())),
    "group_with_callback_child_replaced": Case(
        lambda where: linked(group(add_replaced.si(42, 1337), identity.si(31337)), note(where)), notes=1
    ),
    "group_with_errback_child_replaced": Case(
        lambda where: watched(group(add_replaced.si(42, 1337), fail.s()), heard(where)), notes=1
    ),
    "group_child_with_callback_replaced": Case(
        lambda where: group(linked(add_replaced.si(42, 1337), note(where)), identity.si(31337)), notes=1
    ),
    "group_child_with_errback_replaced": Case(
        lambda where: group(watched(fail_replaced.si(), heard(where)), identity.si(42)), notes=1
    ),
    "group_child_with_callback_replaced_with_chain": Case(
        lambda where: group(linked(replace_with_chain.si(42), note(where)), identity.si(31337)), notes=1
    ),
    "group_child_replaced_with_chain_first": Case(
        lambda _: group(replace_with_chain.si(42), identity.s(1337))
    ),
    "group_child_replaced_with_chain_middle": Case(
        lambda _: group(identity.s(42), replace_with_chain.s(1337), identity.s(31337))
    ),
    "group_child_replaced_with_chain_last": Case(lambda _: group(identity.s(42), replace_with_chain.s(1337))),
    "task_replace_with_group_preserves_group_order": Case(
        lambda _: group([add_to_all.s([2, 1], 1), add_to_all.s([4, 3], 1)] * 4)
    ),
    "replaced_nested_chord": Case(
        lambda _: chord(
            [
                chord([add.s(1, 2), add_replaced.s(3, 4)], add_to_all.s(5)) | tsum.s(),
                chord([add_replaced.s(6, 7), add.s(0, 0)], add_to_all.s(8)) | tsum.s(),
            ],
            add_to_all.s(9),
        )
    ),
    "group_chain_replaced": Case(lambda _: add.s(2, 2) | group(add.s(i) for i in range(4)) | add_to_all.s(8)),
    "empty_header_chord_replaced": Case(lambda _: chord([], add_to_all.s(9))),
    "chord_header_task_replaced_with_chain": Case(lambda _: chord(replace_with_chain.si(42), identity.s())),
    "chord_header_child_replaced_with_chain_first": Case(
        lambda _: chord([replace_with_chain.si(42), identity.s(1337)], identity.s())
    ),
    "chord_header_child_replaced_with_chain_middle": Case(
        lambda _: chord([identity.s(42), replace_with_chain.s(1337), identity.s(31337)], identity.s())
    ),
    "chord_header_child_replaced_with_chain_last": Case(
        lambda _: chord([identity.s(42), replace_with_chain.s(1337)], identity.s())
    ),
    "chord_body_task_replaced_with_chain": Case(lambda _: chord([identity.s(42)], replace_with_chain.s())),
    "chord_body_chain_child_replaced_with_chain_first": Case(
        lambda _: chord([identity.s(42)], chain(replace_with_chain.s(), identity.s()))
    ),
    "chord_body_chain_child_replaced_with_chain_middle": Case(
        lambda _: chord([identity.s(42)], chain(identity.s(), replace_with_chain.s(), identity.s()))
    ),
    "chord_body_chain_child_replaced_with_chain_last": Case(
        lambda _: chord([identity.s(42)], chain(identity.s(), replace_with_chain.s()))
    ),
}
