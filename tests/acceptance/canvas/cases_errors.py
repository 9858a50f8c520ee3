"""Canvases that fail, and the error callbacks that hear of it; named after Celery's own tests."""

from __future__ import annotations

from typing import Any

from celery import chain, chord, group

from tests.acceptance.canvas.both_ways import Case, note, note_only
from tests.acceptance.canvas.tasks import add, errback, fail, flaky, identity, mul, old_errback, tsum


def watched(sig: Any, *errbacks: Any) -> Any:
    """The signature with these error callbacks."""
    for one in errbacks:
        sig.link_error(one)
    return sig


def heard(where: str, message: str = "heard") -> Any:
    """An immutable error callback."""
    return note_only(where, message)


def _children(where: str, kind: Any) -> Any:
    return kind(watched(fail.si(), heard(where)) for _ in range(8))


def _body(where: str) -> Any:
    return watched(note(where, "body"), heard(where, "of the body"))


CASES = {
    "task_fails": Case(lambda _: fail.s(1)),
    "link_error": Case(lambda where: watched(fail.s(), heard(where)), notes=1),
    "link_error_new_style": Case(lambda where: watched(fail.s(), errback.s(where=where)), notes=1),
    "link_error_old_style": Case(lambda where: watched(fail.s(), old_errback.s(where=where)), notes=1),
    "link_error_of_a_success": Case(lambda where: watched(add.s(1, 1), heard(where)) | note(where), notes=1),
    "chain_on_error": Case(lambda where: chain(add.s(1, 2), fail.s(), note(where))),
    "chain_with_error_in_the_middle_has_links": Case(
        lambda where: chain(note(where), fail.s(), note(where)), args=(1,), notes=1
    ),
    "link_error_of_a_chain": Case(
        lambda where: watched(chain(add.s(1, 2), fail.s(), add.s(1)), heard(where)), notes=1
    ),
    "chain_children_with_errbacks": Case(lambda where: _children(where, chain), notes=1),
    "errback_called_by_group_fail_first": Case(
        lambda where: watched(group(fail.s(), identity.si(42)), heard(where)), notes=1
    ),
    "errback_called_by_group_fail_last": Case(
        lambda where: watched(group(identity.si(42), fail.s()), heard(where)), notes=1
    ),
    "mutable_errback_called_by_group_new_style": Case(
        lambda where: watched(group(fail.s(), identity.si(42)), errback.s(where=where)), notes=1
    ),
    "mutable_errback_called_by_group_old_style": Case(
        lambda where: watched(group(fail.s(), identity.si(42)), old_errback.s(where=where)), notes=1
    ),
    "errback_called_by_group_fail_multiple": Case(
        lambda where: watched(group(*[identity.si(1)] * 4, *[fail.s()] * 8), heard(where)), notes=8
    ),
    "group_children_with_errbacks": Case(lambda where: _children(where, group), notes=8),
    "others_of_a_group_go_on": Case(
        lambda where: group(fail.s(), chain(identity.s(1), note(where), note(where))), notes=2
    ),
    "error_propagates_from_chord2": Case(
        lambda _: add.s(1, 1) | add.s(1) | group(add.s(1), fail.s()) | add.s(1)
    ),
    "chord_header_fails": Case(lambda where: chord([add.s(1, 1), fail.s()], note(where))),
    "chord_body_fails": Case(lambda _: chord([add.s(1, 1), add.s(2, 2)], fail.s())),
    "chord_header_fails_and_its_body_is_told": Case(
        lambda where: chord([note_only(where, "header"), fail.s()], _body(where)), notes=2
    ),
    "chord_on_error": Case(
        lambda where: chord([add.s(1, 2), fail.s()], note(where).on_error(old_errback.s(where=where))),
        notes=1,
    ),
    "chord_on_error_new_style": Case(
        lambda where: chord([add.s(1, 2), fail.s()], note(where).on_error(errback.s(where=where))), notes=1
    ),
    "errback_of_a_chord_hears_of_its_header": Case(
        lambda where: watched(chord([add.s(1, 2), fail.s()], tsum.s()), heard(where)), notes=1
    ),
    "errback_of_a_chord_hears_of_its_body": Case(
        lambda where: watched(chord([add.s(1, 2)], fail.s()), heard(where)), notes=1
    ),
    "errback_of_a_chord_from_chain": Case(
        lambda where: watched(chord([chain(identity.si(1), fail.si())], identity.s()), heard(where)), notes=1
    ),
    "errback_of_a_chord_from_chain_tail": Case(
        lambda where: watched(chord([chain(fail.si(), identity.si(1))], identity.s()), heard(where)), notes=1
    ),
    "errback_of_a_chord_from_group": Case(
        lambda where: watched(chord([identity.si(1)], group(identity.si(42), fail.si())), heard(where)),
        notes=1,
    ),
    "errback_of_a_chord_from_group_fail_multiple": Case(
        lambda where: watched(
            chord([identity.si(1)], group(*[identity.si(42)] * 3, *[fail.si()] * 4)), heard(where)
        ),
        notes=4,
    ),
    "errback_of_a_chord_with_group_body_header_fails": Case(
        lambda where: watched(
            chord([identity.si(1), fail.si()], group(identity.si(42), identity.si(43))), heard(where)
        ),
        notes=2,
    ),
    "errbacks_of_group_body_tasks_run_on_header_failure": Case(
        lambda where: chord(
            [fail.s()],
            group(watched(identity.s(), heard(where, "a")), watched(identity.s(), heard(where, "b"))),
        ),
        notes=2,
    ),
    "link_error_option_runs_on_body_failure": Case(
        lambda where: chord([add.s(1, 1)], fail.s()).set(link_error=heard(where)), notes=1
    ),
    "link_error_option_runs_on_header_failure": Case(
        lambda where: chord([fail.s()], tsum.s()).set(link_error=heard(where)), notes=1
    ),
    "link_error_option_runs_on_header_failure_of_a_chain_body": Case(
        lambda where: chord([fail.s()], chain(tsum.s(), identity.s())).set(link_error=heard(where)), notes=1
    ),
    "link_error_option_keeps_errbacks_of_group_body_tasks": Case(
        lambda where: chord([fail.s()], group(watched(identity.s(), heard(where, "own")), identity.s())).set(
            link_error=heard(where, "option")
        ),
        notes=3,
    ),
    "errback_set_as_one_signature_runs_on_header_failure": Case(
        lambda where: chord([fail.s()], tsum.s().set(link_error=[heard(where)])), notes=1
    ),
    "header_failure_fails_the_chords_after_it": Case(
        lambda _: group(
            chain(chord([add.s(1, 1), fail.s()], tsum.s()), chord([add.s(1), add.s(2)], tsum.s())),
            add.s(1, 1),
        )
    ),
    "header_failure_of_a_chain_of_chords_has_links": Case(
        lambda where: chain(chord([fail.s()], note(where)), chord([note(where), note(where)], note(where)))
    ),
    "chain_of_implicit_chords_body_failure": Case(
        lambda where: chord(
            [identity.si(1), identity.si(2)],
            chain(group(tsum.s(), tsum.s()), fail.s(), group(note(where), note(where)), tsum.s()),
        )
    ),
    "upgraded_chord_link_error": Case(
        lambda where: watched(group(fail.s(), identity.si(1)) | tsum.s() | identity.s(), heard(where)),
        notes=1,
    ),
    "nested_chord_header_link_error": Case(
        lambda where: watched(
            chord([chord([add.s(1, 1)], watched(fail.s(), heard(where, "inner")))], tsum.s()),
            heard(where, "outer"),
        ),
        notes=3,
    ),
    "chord_error_with_chord_body": Case(
        lambda _: chord([fail.s(), identity.si(1)], chord([identity.s(), identity.s()], identity.s()))
    ),
    "retries_run_out_in_a_chain": Case(
        lambda where: chain(identity.s(1), flaky.s(fails=9), note(where)), notes=0
    ),
    "map_fails": Case(lambda where: watched(fail.map([1, 2]), heard(where)) | note(where), notes=1),
    "wrong_argument": Case(lambda _: chain(identity.s("a"), mul.s("b"), add.s(1))),
}
