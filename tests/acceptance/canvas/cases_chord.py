"""Groups, chords, maps and chunks that give results; named after Celery's own tests."""

from __future__ import annotations

from celery import chain, chord, group

from tests.acceptance.canvas.both_ways import Case, note_only
from tests.acceptance.canvas.tasks import add, identity, mul, slow_identity, tsum, where_am_i

MANY = 12

CASES = {
    "simple_group": Case(lambda _: group(add.s(1, 1), add.s(2, 2))),
    "group_with_args": Case(lambda _: group(add.s(1), add.si(2, 2)), args=(3,)),
    "empty_group": Case(lambda _: group()),
    "group_of_one": Case(lambda _: group(add.s(1, 1))),
    "nested_group": Case(
        lambda _: group(add.si(1, 10), group(add.si(1, 100), group(add.si(1, 1000), add.si(1, 2000))))
    ),
    "large_group": Case(lambda _: group(identity.s(i) for i in range(60))),
    "nested_group_group": Case(lambda _: group(group(identity.s(42), identity.s(42)))),
    "nested_group_chord_counting_simple": Case(lambda _: group((chord((identity.si(42),), identity.s()),))),
    "nested_group_chord_counting_chain": Case(
        lambda _: group((chord((chain((identity.si(1337),) * 12),), identity.s()),))
    ),
    "nested_group_chord_counting_group": Case(
        lambda _: group((chord((group((identity.si(1337),) * MANY),), identity.s()),))
    ),
    "nested_group_chord_counting_chord": Case(
        lambda _: group((chord((chord((identity.si(1337),) * MANY, identity.si(31337)),), identity.s()),))
    ),
    "nested_group_chord_counting_mixed": Case(
        lambda _: group(
            (
                chord(
                    (
                        identity.si(42),
                        chain((identity.si(42),) * 12),
                        group((identity.si(42),) * MANY),
                        chord((identity.si(42),) * MANY, identity.si(1337)),
                    ),
                    identity.s(),
                ),
            )
        )
    ),
    "nested_group_chord_body_chain": Case(lambda _: group((chord(identity.si(42), chain((identity.s(),))),))),
    "group_ending_a_chain_in_a_group": Case(
        lambda _: group(identity.si(1), chain(identity.si(2), group(identity.si(3), identity.si(4))))
    ),
    "group_with_empty_chain_members": Case(lambda _: group(chain(), add.s(1, 2), chain(), add.s(3, 4))),
    "simple_chord": Case(lambda _: chord([add.s(1, 1), add.s(2, 2)], tsum.s())),
    "chord_order": Case(
        lambda _: chord([slow_identity.si(i, 0.2 - i / 50) for i in range(10)], identity.s())
    ),
    "chord_with_args": Case(lambda _: chord([add.s(1), add.si(2, 2)], identity.s()), args=(3,)),
    "group_chain": Case(lambda _: add.s(2, 2) | group(add.s(i) for i in range(4)) | identity.s()),
    "group_kwargs": Case(
        lambda _: add.s(2, 2) | group(add.s(i) for i in range(4)) | identity.s(), kwargs={"z": 1}
    ),
    "group_args_and_kwargs": Case(
        lambda _: group(add.s(i) for i in range(4)) | identity.s(), args=(4,), kwargs={"z": 1}, loose=True
    ),
    "nested_group_chain": Case(
        lambda _: chain(
            add.si(1, 0),
            group(add.si(1, 100), chain(add.si(1, 200), group(add.si(1, 1000), add.si(1, 2000)))),
            add.si(1, 10),
        )
    ),
    "nested_group_chain_counted": Case(
        lambda _: chord(
            [add.si(1, 100), chain(add.si(1, 200), group(add.si(1, 1000), add.si(1, 2000)))], identity.s()
        ),
        loose=True,
    ),
    "chord_of_chords_with_group_bodies": Case(
        lambda _: chord([chord([add.si(1, 1)], group(tsum.s(), tsum.s())), add.si(3, 4)], identity.s()),
        loose=True,
    ),
    "nested_groups_in_a_header": Case(
        lambda _: chord([group(add.si(1, 1), group(add.si(1, 2), add.si(1, 3))), add.si(1, 4)], identity.s())
    ),
    "chord_with_a_group_of_groups_as_body": Case(
        lambda _: chord([add.si(1, 1)], group(group(tsum.s(), identity.s()), add.si(5, 6)))
    ),
    "single_task_header": Case(lambda _: chord([add.s(2, 5)], identity.s())),
    "single_task_group": Case(lambda _: group([add.s(2, 5)]) | identity.s()),
    "empty_header_chord": Case(lambda _: chord([], identity.s())),
    "empty_group_with_body": Case(lambda _: group([]) | identity.s()),
    "nested_chord": Case(
        lambda _: chord(
            [chord([add.s(1, 2), add.s(3, 4)], add.s([5])), chord([add.s(6, 7)], add.s([10]))], add.s(["A"])
        )
    ),
    "nested_chord_of_groups": Case(
        lambda _: (
            group([group([add.s(1, 2), add.s(3, 4)]) | add.s([5]), group([add.s(6, 7)]) | add.s([10])])
            | add.s(["A"])
        )
    ),
    "deeply_nested_chord": Case(
        lambda _: (
            group([group([group([group([add.s(1, 2)]) | add.s([3])]) | add.s([4])]) | add.s([5])])
            | add.s([6])
        )
    ),
    "generator": Case(lambda _: chord((identity.si(i) for i in range(9)), tsum.s())),
    "parallel_chords": Case(
        lambda _: group(*[chord(group(add.s(1, 2), add.s(3, 4)), tsum.s()) for _ in range(2)])
    ),
    "chord_in_chords_with_chains": Case(
        lambda _: chord(
            group(
                [
                    chain(add.si(1, 2), chord(group([add.si(1, 2), add.si(1, 2)]), add.si(1, 2)))
                    for _ in range(2)
                ]
            ),
            add.si(2, 2),
        )
    ),
    "chain_chord_chain_chord": Case(
        lambda _: chain(
            identity.si(1),
            chord(
                [
                    identity.si(2),
                    chain(identity.si(3), chord([identity.si(4), identity.si(5)], identity.si(6))),
                ],
                identity.si(7),
            ),
        )
    ),
    "large_header": Case(lambda _: group(identity.si(i) for i in range(60)) | tsum.s()),
    "chain_to_a_chord_with_large_header": Case(
        lambda _: identity.si(1) | group(identity.s() for _ in range(60)) | tsum.s()
    ),
    "nested_chord_group": Case(lambda _: chord((group(identity.s(42), identity.s(42)),), identity.s())),
    "nested_chord_group_chain_group_tail": Case(
        lambda _: chord(group(chain(identity.s(42), group(identity.s(), identity.s()))), identity.s())
    ),
    "group_body": Case(
        lambda _: chord(group(identity.si(1), identity.si(2)), group(identity.si(3), identity.si(4)))
    ),
    "chord_with_chain_body": Case(
        lambda _: chord(
            [add.si(1, 1), add.si(1, 2)],
            chain(add.si(1, 0), group(add.si(1, 1), add.si(1, 2)), add.si(2, 2) | add.si(3, 3)),
        )
    ),
    "chain_of_implicit_chords_as_body": Case(
        lambda _: chord(
            [add.si(1, 1), add.si(1, 2)],
            chain(
                *[link for _ in range(3) for link in (group(tsum.s(), tsum.s()), identity.s())],
                tsum.s(),
            ),
        )
    ),
    "chord_header_with_empty_chains": Case(
        lambda _: chord([chain(), add.s(1, 2), chain(), add.s(3, 4)], tsum.s())
    ),
    "options_of_a_chord": Case(
        lambda _: chord([where_am_i.si(), where_am_i.si()], where_am_i.si()).set(queue="celery")
    ),
    "map": Case(lambda _: identity.map([1, 2, 3])),
    "starmap": Case(lambda _: add.starmap([(1, 2), (3, 4)])),
    "map_goes_where_its_task_goes": Case(lambda _: where_am_i.map([1])),
    "starmap_in_a_group_and_a_chain": Case(
        lambda _: group(add.starmap([(1, 2), (3, 4)]), chain(mul.starmap([(1, 2), (3, 4)]), tsum.s()))
    ),
    "chunks": Case(lambda _: add.chunks([(i, i) for i in range(10)], 3)),
    "chunks_as_a_group": Case(lambda _: add.chunks([(i, i) for i in range(10)], 3).group()),
    "chunks_in_a_chord": Case(lambda _: add.chunks([(i, i) for i in range(6)], 3).group() | identity.s()),
    "branches_advance_by_themselves": Case(
        lambda where: group(
            chain(slow_identity.si(1, 0.1), note_only(where, "quick")),
            chain(slow_identity.si(1, 0.7), note_only(where, "slow")),
        ),
        notes=2,
        in_order=True,
    ),
}
