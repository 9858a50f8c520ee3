"""The cursor over what a run has recorded."""

from __future__ import annotations

from typing import Any

from aiki_celery.engine.replay import Record
from aiki_celery.model.records import StepRecord
from aiki_celery.model.status import StepKind, StepStatus


def step(seq: int, address: str = "charge:1", kind: StepKind = StepKind.TASK, **facts: Any) -> StepRecord:
    """A record."""
    values: dict[str, Any] = {
        "status": StepStatus.COMPLETED,
        "attempt": 1,
        "epoch": 1,
        "started_at": seq,
        "finished_at": seq,
    }
    return StepRecord(seq=seq, kind=kind, name=address, address=address, **(values | facts))


def taken(record: Record, *addresses: str) -> list[int | None]:
    """The places of the outcomes that are consumed."""
    steps = [record.take(address) for address in addresses]
    return [None if step is None else step.seq for step in steps]


def test_take_is_first_in_first_out_per_address() -> None:
    """Two calls with the same input get their results in order; a third has none."""
    record = Record([step(1), step(2, "ship:1"), step(3)])
    assert [1, 3, None] == taken(record, "charge:1", "charge:1", "charge:1")


def test_take_of_reordered_calls_gives_each_its_own_result() -> None:
    """Calls that changed places since keep their results: content decides, not position."""
    record = Record([step(1, "charge:a"), step(2, "charge:b")])
    assert [2, 1] == taken(record, "charge:b", "charge:a")


def test_left_over_is_what_was_not_asked_for() -> None:
    """Unconsumed outcomes are named in the order they were recorded, over all addresses."""
    record = Record([step(1, "b:1"), step(2, "a:1"), step(3, "b:1")])
    assert (3, ["b:1", "a:1", "b:1"]) == (record.unconsumed, record.left_over())
    taken(record, "b:1")
    assert (2, ["a:1", "b:1"]) == (record.unconsumed, record.left_over())


def test_waits_and_instants_are_not_left_over() -> None:
    """Sleeps and `now()` have queues of their own and never mean that code and record have parted."""
    record = Record(
        [step(1, "sleep:x", StepKind.SLEEP), step(2, "now", StepKind.NOW), step(3, "sleep:x", StepKind.SLEEP)]
    )
    assert (0, []) == (record.unconsumed, record.left_over())
    facts = [record.take_fact(address) for address in ("sleep:x", "sleep:x", "sleep:x", "now")]
    assert [1, 3, None, 2] == [None if fact is None else fact.seq for fact in facts]


def test_what_is_made_again_stands_where_it_was() -> None:
    """A start that was made again and comes before a sleep: the code has not been beyond that sleep, nor is it now."""
    record = Record(
        [
            step(1, "charge:1", StepKind.LAUNCH),
            step(2, "sleep:x", StepKind.SLEEP),
            step(3, "retry", StepKind.RETRY, value="1;2"),
            step(4, "charge:1", StepKind.LAUNCH),
        ]
    )
    assert [4] == taken(record, "charge:1")
    assert (True, False) == (record.goes_on, record.came_beyond(2))
    assert record.take_fact("sleep:x") is not None
    assert not record.goes_on


def test_outcomes_and_facts_do_not_mix() -> None:
    """A task whose address reads like a wait is no wait."""
    record = Record([step(1, "now")])
    assert (None, [1]) == (record.take_fact("now"), taken(record, "now"))


def test_notes_are_those_of_the_step_in_flight() -> None:
    """Attempts that came before an outcome belong to it; those after the last one to the step that was interrupted."""
    record = Record(
        [
            step(1, kind=StepKind.ATTEMPT),
            step(2),
            step(3, kind=StepKind.ATTEMPT),
            step(4, kind=StepKind.ATTEMPT),
            step(5, "ship:1", StepKind.START),
        ]
    )
    assert ([3, 4], [5], []) == (
        [note.seq for note in record.take_notes("charge:1")],
        [note.seq for note in record.take_notes("ship:1")],
        record.take_notes("other"),
    )
    assert [] == record.take_notes("charge:1"), "the next step of that address has its own"


def test_retry_marker_puts_aside_the_failed_step_and_what_followed() -> None:
    """A workflow-level retry keeps the finished steps before the failed one."""
    marker = step(4, "retry", StepKind.RETRY, value="2")
    record = Record([step(1, "a:1"), step(2, "b:1", status=StepStatus.FAILED), step(3, "c:1"), marker])
    assert ([1, None, None], [marker], 4) == (
        taken(record, "a:1", "b:1", "c:1"),
        record.aside.retries,
        record.last_seq,
    )


def test_retry_marker_of_an_error_without_a_step_puts_nothing_aside() -> None:
    """Where the workflow's own code failed, every step is kept."""
    record = Record([step(1, "a:1"), step(2, "retry", StepKind.RETRY, value="2"), step(3, "b:1")])
    assert [1, 3] == taken(record, "a:1", "b:1")


def test_retry_markers_add_up() -> None:
    """Each retry puts aside what the one before it had led to."""
    record = Record(
        [
            step(1, "a:1"),
            step(2, "b:1", status=StepStatus.FAILED),
            step(3, "retry", StepKind.RETRY, value="2"),
            step(4, "b:1", status=StepStatus.FAILED),
            step(5, "retry", StepKind.RETRY, value="4"),
            step(6, "b:1"),
        ]
    )
    assert ([1, 6], 2, 0) == (taken(record, "a:1", "b:1"), len(record.aside.retries), record.unconsumed)


def test_started_step_that_was_put_aside_is_started_again_in_its_place() -> None:
    """Others that were started with it keep their outcomes, and what is recorded later takes the place that is free."""
    first = [
        step(1, "a:1", StepKind.LAUNCH),
        step(2, "b:1", StepKind.LAUNCH),
        step(3, "b:1", StepKind.LAUNCH),
    ]
    marker = step(4, "retry", StepKind.RETRY, value="2;3")
    record = Record([*first, marker])
    asked = [
        taken(record, "b:1"),
        record.may_start("b:1"),
        taken(record, "b:1", "a:1"),
        record.may_start("c:1"),
    ]
    assert ([[None], True, [3, 1], True], 0) == (asked, record.unconsumed)

    again = Record([*first, marker, step(5, "b:1", StepKind.LAUNCH)])
    assert [5, 3, 1] == taken(again, "b:1", "b:1", "a:1")


def test_started_step_may_be_put_aside_again() -> None:
    """Its place stays free until one that was started later is not put aside."""
    record = Record(
        [
            *(step(1, "b:1", StepKind.LAUNCH), step(2, "b:1", StepKind.LAUNCH)),
            step(3, "retry", StepKind.RETRY, value="1;2"),
            step(4, "b:1", StepKind.LAUNCH),
            step(5, "retry", StepKind.RETRY, value="4;4"),
            step(6, "b:1", StepKind.LAUNCH),
        ]
    )
    assert ([6, 2, None], 0) == (taken(record, "b:1", "b:1", "b:1"), record.unconsumed)


def test_new_step_may_not_start_before_what_is_recorded() -> None:
    """Unless the code gives every step an address of its own, in no order."""
    record = Record([step(1, "a:1")])
    assert (None, False) == (record.take("b:1"), record.may_start("b:1"))
    record.has_order = False
    assert record.may_start("b:1")


def test_retry_marker_puts_aside_notes_as_well() -> None:
    """Attempts of the step that is tried anew do not count any more."""
    record = Record(
        [
            step(1, kind=StepKind.ATTEMPT),
            step(2, status=StepStatus.FAILED),
            step(3, "retry", StepKind.RETRY, value="1"),
        ]
    )
    assert ([], None) == (record.take_notes("charge:1"), record.take("charge:1"))


def test_next_seq_goes_on_after_the_last_record() -> None:
    """Places are never used twice, also not those of what was put aside."""
    record = Record([step(1), step(2, "retry", StepKind.RETRY, value="1")])
    assert [3, 4] == [record.next_seq(), record.next_seq()]


def test_is_replaying_until_the_record_is_read() -> None:
    """Code is replaying while something recorded is unread, and never again after it wrote something."""
    record = Record([step(1), step(2, "now", StepKind.NOW)])
    seen = [record.is_replaying]
    taken(record, "charge:1")
    seen.append(record.is_replaying)
    record.take_fact("now")
    seen.append(record.is_replaying)
    live = Record([step(1), step(2, "other:1")])
    live.next_seq()
    assert ([True, True, False], False, False) == (seen, live.is_replaying, Record([]).is_replaying)
