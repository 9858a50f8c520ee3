"""Chains, and what they become with groups and chords in them; named after Celery's own tests."""

from __future__ import annotations

import json

from celery import chain, chord, group, signature
from celery.canvas import _chain

from tests.acceptance.canvas.both_ways import Case, note_only
from tests.acceptance.canvas.tasks import add, flaky, identity, tsum, where_am_i, xsum


def _echoes(where: str, *groups: str) -> list[object]:
    return [group(note_only(where, letter) for letter in letters) for letters in groups]


CASES = {
    "simple_chain": Case(lambda _: add.s(4, 8) | add.s(16)),
    "single_chain": Case(lambda _: chain(add.s(3, 4))),
    "single_task": Case(lambda _: add.s(3, 4)),
    "task_with_args": Case(lambda _: add.s(4), args=(3,), kwargs={"z": 1}),
    "immutable_task_with_args": Case(lambda _: add.si(3, 4), args=(30,), kwargs={"z": 1}),
    "immutable_link": Case(lambda _: add.s(1, 1) | add.si(2, 2) | add.s(3)),
    "chain_with_args": Case(lambda _: add.s(4) | add.s(5), args=(3,), kwargs={"z": 1}),
    "chain_to_group": Case(
        lambda _: add.s(2, 2) | (add.s(4) | add.s(16)) | group(add.s(i) for i in range(4))
    ),
    "group_results_in_chain": Case(lambda _: group(add.s(1, 2) | group(add.s(1), add.s(2)))),
    "chain_of_chain_with_a_single_task": Case(lambda _: chain([chain(identity.s(42))])),
    "chain_inside_group_receives_arguments": Case(
        lambda _: add.s(5, 6) | group((add.s(1) | add.s(2), add.s(3)))
    ),
    "group_chord_group_chain": Case(
        lambda where: (
            group(note_only(where, "before") for _ in range(3))
            | note_only(where, "connect")
            | group(note_only(where, "after") for _ in range(2))
        ),
        notes=6,
        in_order=True,
    ),
    "group_result_not_has_cache": Case(
        lambda _: group(
            identity.si(1), identity.si(2), chain(identity.si(5), group([identity.si(3), identity.si(4)]))
        )
    ),
    "chain_of_task_a_group_and_a_chord": Case(
        lambda _: add.si(1, 0) | group(add.s(1), add.s(1)) | group(tsum.s(), tsum.s()) | tsum.s()
    ),
    "chain_of_chords_as_groups_chained_to_a_task_with_two_tasks": Case(
        lambda _: (
            add.si(1, 0)
            | group(add.s(1), add.s(1))
            | tsum.s()
            | add.s(1)
            | group(add.s(1), add.s(1))
            | tsum.s()
        )
    ),
    "chain_of_chords_with_two_tasks": Case(
        lambda _: (
            add.si(1, 0)
            | group(add.s(1), add.s(1))
            | tsum.s()
            | add.s(1)
            | chord(group(add.s(1), add.s(1)), tsum.s())
        )
    ),
    "chain_of_explicit_chords": Case(
        lambda _: (
            chain(*[chord(group(add.si(1, 0), add.si(1, 0)), tsum.s()), *_chords(1, 0)])
            | chain(*_chords(10, 0, 1))
        )
    ),
    "chain_of_nine_chords": Case(
        lambda _: chain(
            chord(group(*[add.si(1, 0)] * 3), tsum.s()),
            *[chord(group(*[add.s(1)] * 3), tsum.s()) for _ in range(7)],
            chord(group(*[add.s(0)] * 3), tsum.s()),
        )
    ),
    "chain_of_nine_implicit_chords": Case(
        lambda _: chain(
            *(group(*[add.si(1, 0)] * 3), tsum.s()),
            *[link for _ in range(7) for link in (group(*[add.s(1)] * 3), tsum.s())],
            *(group(*[add.s(0)] * 3), tsum.s()),
        )
    ),
    "chain_with_a_nested_chain_led_by_a_group": Case(
        lambda _: chain(_chain(group(add.si(1, 1), add.si(2, 2)), tsum.s(), add.s(10)), add.s(100))
    ),
    "chain_with_a_deserialised_chain_led_by_a_group": Case(
        lambda _: chain(
            signature(json.loads(json.dumps(_chain(group(add.si(1, 1), add.si(2, 2)), tsum.s(), add.s(10))))),
            add.s(100),
        )
    ),
    "chain_of_a_chord_and_a_group_with_two_tasks": Case(
        lambda _: add.si(1, 0) | group(add.s(1), add.s(1)) | tsum.s() | add.s(1) | group(add.s(1), add.s(1))
    ),
    **{
        f"chain_of_a_chord_and_{count}_tasks_and_a_group": Case(
            lambda _, count=count: chain(  # type: ignore[misc]
                group(add.s(1, 1), add.s(1, 1)), tsum.s(), *[add.s(1)] * count, group(add.s(1), add.s(1))
            )
        )
        for count in (1, 2, 3)
    },
    "nested_chain_group_lone": Case(lambda _: chain(group(identity.s(42), identity.s(42)))),
    "nested_chain_group_mid": Case(
        lambda _: chain(identity.s(42), group(identity.s(), identity.s()), identity.s())
    ),
    "nested_chain_group_last": Case(lambda _: chain(identity.s(42), group(identity.s(), identity.s()))),
    "chain_ending_in_nested_groups": Case(
        lambda _: chain(identity.s(1), group(group(add.s(1), add.s(2)), add.s(3)))
    ),
    "chain_ending_in_a_group_of_one": Case(lambda _: chain(identity.s(42), group(identity.s()))),
    "group_of_one_in_a_chain": Case(lambda _: chain(group(identity.s(42)), identity.s())),
    "chaining_upgraded_chords_pure_groups": Case(
        lambda where: chain(*_echoes(where, "123", "456", "7", "8"), note_only(where, "9")), notes=9
    ),
    "chaining_upgraded_chords_starting_with_chord": Case(
        lambda where: chain(
            chord(*_echoes(where, "123", "456")), *_echoes(where, "7", "8"), note_only(where, "9")
        ),
        notes=9,
    ),
    "chaining_upgraded_chords_mixed_canvas": Case(
        lambda where: chain(
            chord(*_echoes(where, "123", "456")),
            note_only(where, "7"),
            *_echoes(where, "8"),
            note_only(where, "9"),
        ),
        notes=9,
    ),
    "chaining_upgraded_chords_mixed_canvas_protocol_2": Case(
        lambda where: chain(*_echoes(where, "12", "345", "6789"), note_only(where, "done")), notes=10
    ),
    "chaining_upgraded_chords_ending_in_a_group": Case(
        lambda where: chain(*_echoes(where, "12", "345", "6789", "0")), notes=10
    ),
    "group_in_center_of_chain": Case(
        lambda _: chord(
            [add.s(0, 1)],
            chord([tsum.s(), tsum.s()], chain(tsum.s(), group(add.s(8), add.s(16)), tsum.s() | add.s(32))),
        )
    ),
    "upgrade_to_chord_inside_chains": Case(
        lambda where: chain(
            group(note_only(where, "a"), note_only(where, "a"))
            | group(note_only(where, "a"), note_only(where, "a")),
            note_only(where, "a") | note_only(where, "b"),
        ),
        notes=6,
    ),
    "chain_of_group_followed_by_empty_groups": Case(
        lambda _: chain(group(add.s(2, 2), add.s(4, 4)), group(), group())
    ),
    "chain_skips_empty_groups_before_chord_body": Case(
        lambda _: _chain(group(add.s(2, 2), add.s(4, 4)), group(), group(), xsum.s())
    ),
    "chain_forwards_args_past_an_empty_group": Case(lambda _: _chain(group(), add.s(10)), args=(5,)),
    "chain_forwards_args_past_an_empty_chain": Case(lambda _: _chain(chain(), add.s(10)), args=(5,)),
    "chain_forwards_args_past_a_nested_empty_group": Case(
        lambda _: _chain(_chain(group(), add.s(10)), add.s(20)), args=(5,)
    ),
    "chain_of_two_groups_holds_each_task_once": Case(
        lambda _: chain(
            add.si(1, 0), group(add.s(1), add.s(2)), group(tsum.s(), tsum.s()), tsum.s(), add.s(1)
        )
    ),
    "chord_in_chain_with_args": Case(
        lambda _: chain(chord([identity.s(), identity.s()], identity.s()), identity.s()), args=(1,)
    ),
    "chain_in_chain_with_args": Case(lambda _: chain(chain(identity.s(), identity.s())), args=(1,)),
    "chain_of_retried_tasks": Case(lambda _: flaky.s(1) | flaky.s(2) | add.s(3)),
    "options_of_tasks_in_a_chain": Case(
        lambda _: chain(where_am_i.si(), identity.s(), where_am_i.si().set(queue="celery"))
    ),
    "routes_of_tasks_in_a_group": Case(
        lambda _: group(where_am_i.si(), where_am_i.si().set(queue="celery", countdown=0.1)).set(priority=3)
    ),
    "options_of_a_chain_are_its_first_task's": Case(
        lambda _: chain(where_am_i.si(), identity.s()).set(queue="celery")
    ),
}


def _chords(*numbers: int) -> list[object]:
    return [chord(group(add.s(number), add.s(number)), tsum.s()) for number in numbers]
