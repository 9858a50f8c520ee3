"""Which event answers which expectation: the same whenever it is asked and in however many parts the inbox was read."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aiki_celery.engine.expectations import Expectations
from aiki_celery.engine.replay import Record
from aiki_celery.model.received import Received
from aiki_celery.model.records import StepRecord
from aiki_celery.model.status import StepKind, StepStatus

NAMES = ("a", "b")


def expectation(seq: int, name: str, due_at: int | None = None) -> StepRecord:
    """A recorded expectation."""
    return StepRecord(
        seq, StepKind.EVENT, name, f"event:{name}", StepStatus.WAITING, 1, 1, seq, seq, due_at=due_at
    )


def timeout(seq: int, place: int) -> StepRecord:
    """What says that the time of an expectation was over."""
    return StepRecord(
        seq, StepKind.TIMEOUT, "x", "event:x", StepStatus.COMPLETED, 1, 1, seq, seq, value=str(place)
    )


def oracle(steps: list[StepRecord], events: list[Received]) -> dict[int, int]:
    """The rule, written down plainly: places of expectations, and the numbers of the events they get."""
    over = {int(step.value or 0) for step in steps if step.kind is StepKind.TIMEOUT}
    answers = {}
    for name in NAMES:
        queue = [event for event in events if event.name == name]
        for step in steps:
            if step.kind is not StepKind.EVENT or step.name != name or step.seq in over or not queue:
                continue
            if step.due_at is None or queue[0].sent_at <= step.due_at:
                answers[step.seq] = queue.pop(0).number
    return answers


expected = st.lists(st.tuples(st.sampled_from(NAMES), st.none() | st.integers(0, 20)), max_size=8)
sent = st.lists(st.sampled_from(NAMES), max_size=8)


@given(expected, sent, st.sets(st.integers(1, 8), max_size=3), st.integers(0, 8), st.integers(0, 8))
def test_answers_are_a_pure_function_of_record_and_inbox(
    wanted: list[tuple[str, int | None]], names: list[str], over: set[int], known: int, recorded: int
) -> None:
    """Read at once, or in two parts with expectations made in between: the oracle's answers, each event once."""
    steps = [expectation(place, name, due) for place, (name, due) in enumerate(wanted, 1)]
    steps += [timeout(10 + place, place) for place in sorted(over) if place <= len(wanted)]
    events = [Received(number, name, "1", number * 3) for number, name in enumerate(names, 1)]
    right = oracle(steps, events)

    whole = Expectations(Record(steps), events, 100)
    kept = [step for step in steps if step.seq <= recorded or step.kind is StepKind.TIMEOUT]
    parts = Expectations(Record(kept), events[:known], 50)
    for step in steps:
        if step.kind is StepKind.EVENT and step.seq > recorded:
            parts.add(step)
    parts.learn(events[known:], 100)

    for found in (whole, parts):
        answers = {step.seq: found.answer(step) for step in steps if step.kind is StepKind.EVENT}
        assert right == {seq: event.number for seq, event in answers.items() if event is not None}
        assert sorted([*right.values(), *(event.number for event in found.left())]) == [
            event.number for event in events
        ]


def test_wanted_counts_those_before_the_last_that_is_awaited() -> None:
    """The second expectation is answered by the second event that comes."""
    first, second, other = expectation(1, "a"), expectation(2, "a"), expectation(3, "b")
    found = Expectations(Record([first, second, other]), [], 0)
    assert [{"a": 2}, {"a": 1}, {"a": 2, "b": 1}] == [
        found.wanted(some) for some in ([second], [first], [other, second])
    ]
    found.learn([Received(1, "a", "1", 5)], 10)
    assert ({"a": 1}, 1, {"a": 1}) == (found.wanted([second]), found.known, found.consumed())


def test_wanted_counts_none_before_it_whose_time_may_be_over() -> None:
    """The next event may be for the second one; if it is for the first, the run looks again."""
    timed, second = expectation(1, "a", due_at=10), expectation(2, "a")
    found = Expectations(Record([timed, second]), [], 0)
    assert [{"a": 1}, {"a": 2}] == [found.wanted(some) for some in ([second], [timed, second])]


def test_events_are_had_when_the_code_is_told() -> None:
    """In stretches: one that answers what nobody has looked at again is none of them, nor is one that is withdrawn."""
    steps = [expectation(place, "a") for place in range(1, 6)]
    events = [Received(number, "a", "1", number) for number in (2, 3, 5, 7, 8)]
    found = Expectations(Record(steps), events, 10)
    for step in (steps[0], steps[1], steps[3]):
        found.have(step)
    assert [("a", 2, 3), ("a", 7, 7)] == found.had()
    assert [2, 3, 7] == sorted(event.number for event in found.told())
    found.withdraw(steps[3])
    assert (None, events[3]) == (found.answer(steps[3]), found.answer(steps[4]))


def test_time_is_over_only_if_the_inbox_was_read_after_it() -> None:
    """An event that came in time, and was not read yet, still counts."""
    late = expectation(1, "a", due_at=10)
    found = Expectations(Record([late]), [], read_at=9)
    assert not found.is_over(late, now=11)
    found.learn([], read_at=11)
    assert found.is_over(late, now=11)
    assert not found.is_over(expectation(2, "a"), now=1000)


def test_retry_marker_frees_the_events_of_what_it_puts_aside() -> None:
    """What came after the failed place is expected anew."""
    marker = StepRecord(
        3, StepKind.RETRY, "retry", "retry", StepStatus.FAILED, 1, 1, 3, 3, value="2", due_at=3
    )
    events = [Received(1, "a", "1", 5), Received(2, "a", "2", 6)]
    record = Record([expectation(1, "a"), expectation(2, "a"), marker])
    found = Expectations(record, events, 10)
    assert found.answer(expectation(1, "a")) == events[0]
    again = expectation(4, "a")
    found.add(again)
    assert found.answer(again) == events[1]
