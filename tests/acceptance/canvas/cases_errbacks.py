"""Error callbacks of every kind on chords that fail in every way, and stamps; named after Celery's own tests."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

from celery import chain, chord, group

from tests.acceptance.canvas.both_ways import Case, note
from tests.acceptance.canvas.cases_errors import heard, watched
from tests.acceptance.canvas.cases_links import linked
from tests.acceptance.canvas.tasks import (
    add,
    errback,
    fail,
    flaky,
    identity,
    old_errback,
    own_priority,
    own_stamps,
    replaced_with_stamps,
    retried_note,
    slow_sum_with_guard,
    tsum,
)

STYLES: dict[str, Callable[[str], Any]] = {
    "immutable_errback": heard,
    "mutable_errback_new_style": lambda where: errback.s(where=where),
    "mutable_errback_old_style": lambda where: old_errback.s(where=where),
}

#: A chord that fails, and how often its error callback is called.
CHORDS: dict[str, tuple[Callable[[], Any], int]] = {
    "from_simple_header": (lambda: chord([identity.si(1), fail.si()], identity.s()), 1),
    "from_simple_body": (lambda: chord([identity.si(1)], fail.s()), 1),
    "from_chain_header": (lambda: chord([chain(identity.si(1), fail.si())], identity.s()), 1),
    "from_chain_body": (lambda: chord([identity.si(1)], chain(identity.s(), fail.s())), 1),
    "from_chain_tail_header": (lambda: chord([chain(fail.si(), identity.si(1))], identity.s()), 1),
    "from_chain_tail_body": (lambda: chord([identity.si(1)], chain(fail.s(), identity.s())), 1),
    "from_group_header": (lambda: chord([group(identity.si(1), fail.si())], identity.s()), 1),
    "from_group_body": (lambda: chord([identity.si(1)], group(identity.s(), fail.s())), 1),
    "from_group_fail_multiple_header": (
        lambda: chord([group(*[identity.si(1)] * 2, *[fail.si()] * 3)], identity.s()),
        1,
    ),
    "from_group_fail_multiple_body": (
        lambda: chord([identity.si(1)], group(*[identity.s()] * 2, *[fail.s()] * 3)),
        3,
    ),
}

BODIES: dict[str, Callable[[], Any]] = {
    "task": lambda: tsum.s(),
    "group": lambda: group(tsum.s(), identity.s()),
    "chain": lambda: chain(tsum.s(), identity.s()),
    "chord": lambda: chord([tsum.s(), tsum.s()], tsum.s()),
}

CASES = {
    **{
        f"{style}_called_by_chord_{name}": Case(
            lambda where, make=make, kind=kind: watched(make(), kind(where)),  # type: ignore[misc]
            notes=count,
        )
        for style, kind in STYLES.items()
        for name, (make, count) in CHORDS.items()
    },
    **{
        f"chord_error_propagation_with_a_{name}_as_body": Case(
            lambda _, make=make: chord([identity.si(1), fail.si()], make())  # type: ignore[misc]
        )
        for name, make in BODIES.items()
    },
    "link_error_callback_retries": Case(
        lambda where: watched(identity.s(1) | fail.s(), retried_note.si(where=where)), notes=1
    ),
    "mutable_errback_with_stored_arguments": Case(
        lambda where: watched(fail.s(), note(where, "stored")), notes=1
    ),
    "chain_error_handler_with_eta": Case(
        lambda where: watched(
            chain(fail.s(1), identity.s()),
            heard(where).set(eta=datetime.now(timezone.utc) + timedelta(seconds=0.2)),
        ),
        notes=1,
    ),
    "chord_soft_timeout_recuperation": Case(
        lambda _: chord([add.s(1, 1), add.s(2, 2)], slow_sum_with_guard.s(3).set(soft_time_limit=1))
    ),
    "chord_error_in_nested_chain": Case(
        lambda _: chain(identity.si(1), chord([identity.si(1), fail.si()], identity.s()), identity.s())
    ),
    "errbacks_of_chord_in_group_body_run_on_body_failure": Case(
        lambda where: chord([identity.si(1)], group(watched(chord([identity.s()], fail.s()), heard(where)))),
        notes=1,
    ),
    "errbacks_of_chord_in_group_body_run_on_header_failure": Case(
        lambda where: watched(
            chord([add.si(1, 1), fail.si()], group(chord([add.si(2, 2)], tsum.s()), tsum.s())), heard(where)
        ),
        notes=2,
    ),
    "errback_option_of_chord_in_group_body_runs_on_header_failure": Case(
        lambda where: chord([add.si(1, 1), fail.si()], group(chord([add.si(2, 2)], tsum.s()), tsum.s())).set(
            link_error=heard(where)
        ),
        notes=2,
    ),
    "link_error_option_with_link_error_of_group_body": Case(
        lambda where: chord(
            [add.si(1, 1)], group(fail.s(), tsum.s()).set(link_error=heard(where, "group"))
        ).set(link_error=heard(where, "chord")),
        notes=2,
    ),
    "link_error_option_runs_once_for_chord_in_group_body_with_link_error": Case(
        lambda where: chord(
            [add.si(1, 1)],
            group(chord([add.si(1, 1)], group(fail.s(), tsum.s()))).set(link_error=heard(where, "group")),
        ).set(link_error=heard(where, "chord")),
        notes=2,
    ),
    "header_failure_fails_the_chords_after_a_group_body": Case(
        lambda _: group(
            chain(
                chord([add.s(1, 1), fail.s()], group(add.s(1), add.s(2))),
                chord([add.s(1), add.s(2)], tsum.s()),
            ),
            add.s(1, 1),
        )
    ),
    "replace_merge_stamps": Case(lambda _: stamped(replaced_with_stamps.si())),
    "retried_tasks_of_a_header": Case(lambda _: chord([flaky.s(1), flaky.s(2, fails=2)], tsum.s())),
    "priority": Case(lambda _: chain(own_priority.si().set(priority=3))),
    "priority_chain": Case(lambda _: own_priority.si().set(priority=3) | own_priority.si().set(priority=5)),
    "task_received_has_access_to_stamps": Case(lambda _: stamped(own_stamps.si())),
    "all_tasks_of_canvas_are_stamped": Case(
        lambda _: stamped(chain(own_stamps.si(), group(own_stamps.si(), own_stamps.si())))
    ),
    "chord_is_stamped": Case(lambda _: stamped(chord([own_stamps.si(), identity.si(1)], identity.s()))),
    "linked_stamped_sig": Case(lambda where: stamped(linked(own_stamps.si(), note(where))), notes=1),
}


def stamped(sig: Any) -> Any:
    """The canvas with a stamp on each of its tasks."""
    sig.stamp(colour="red")
    return sig
