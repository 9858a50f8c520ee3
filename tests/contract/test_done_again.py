"""What was put aside and is done again counts as where it was first: what follows is found, and drawn, as before."""

from __future__ import annotations

import pytest

from aiki_celery import EventTimeout, Retry, WorkflowRun, event, workflow
from aiki_celery.definitions.workflow import Workflow
from aiki_celery.journal.journal import Journal
from aiki_celery.model.events import RunParked
from tests.contract.forks import forked
from tests.contract.house import House
from tests.contract.rows import run_row
from tests.contract.sagas import book, broken, cancel, done, ended, forget, retried, told

#: What the databases do is shown elsewhere; here it is the engine that counts.
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True, scope="module")

word = event("again-word", str)
#: What each pass has drawn in its saga, and the id it had there.
drawn: list[tuple[str, str]] = []


@pytest.fixture(autouse=True)
def _all_is_new() -> None:
    forget()
    drawn.clear()


@pytest.fixture
def house(journal: Journal) -> House:
    return House(journal, inline_wait=0.0)


@workflow(name="again-child")
def child(run: WorkflowRun) -> None:
    run.sleep(3600)


@workflow(name="again-started")
def started(run: WorkflowRun) -> None:
    """The step that fails was started before something was drawn."""
    future = book.start(run, "far")
    book.run(run, f"near {run.uuid4()} {run.random()} {run.id}")
    future.result()


@workflow(name="again-left")
def left_behind(run: WorkflowRun) -> None:
    """The child ends with the run."""
    child.start(run)
    book.run(run, f"near {run.uuid4()} {run.random()} {run.id}")


@workflow(name="again-expected")
def expected(run: WorkflowRun) -> None:
    """What was expected did not come in time, which the code is told after something was drawn."""
    answer = run.expect(word, timeout=0.01)
    book.run(run, f"near {run.uuid4()} {run.random()} {run.id}")
    run.gather(answer, return_exceptions=True)
    book.run(run, "far")


def undone_after(run: WorkflowRun) -> None:
    """A saga is undone between what was drawn and what it is told."""
    answer = run.expect(word, timeout=0.01)
    book.run(run, f"near {run.uuid4()}")
    with run.saga() as saga:
        saga.add(cancel, book.run(run, "hotel"))
        book.run(run, "flight")
    run.gather(answer, return_exceptions=True)
    run.sleep(0.001)


@workflow(name="again-two-words", retry=Retry.fixed(2, 0.001))
def two_words(run: WorkflowRun) -> str:
    """The time of the first is over; the second has none."""
    quick, slow = run.expect(word, timeout=0.01), run.expect(word)
    try:
        run.gather(quick)
    except EventTimeout:
        if run.attempt == 1:
            raise
    return slow.result()


def undone_late(run: WorkflowRun) -> None:
    """First a step fails that was started, then a saga that begins after it was started again."""
    future = book.start(run, "far")
    book.run(run, f"near {run.uuid4()}")
    future.result()
    with run.saga() as saga:
        drawn.append((str(run.uuid4()), run.id))
        saga.add(cancel, book.run(run, "hotel"))
        book.run(run, "flight")


late = workflow(name="again-undone-late")(undone_late)


@pytest.mark.parametrize("flow", [started, expected], ids=lambda flow: flow.name)
@pytest.mark.parametrize("again", ["fork", "retry", "fork of a retry"])
def test_what_was_drawn_before_is_drawn_again(house: House, flow: Workflow[[], None], again: str) -> None:
    """Though what was asked for before it is done again, or is known by now to have had no answer."""
    broken.add("far")
    run_id = house.enqueue(flow)
    assert "failed" == ended(house, run_id)
    near = [what for what in told() if what.startswith("near")]
    if again != "fork":
        assert "completed" == retried(house, run_id)
    broken.clear()
    if again != "retry":
        assert "completed" == ended(house, forked(house, run_id))
    assert (1, ["far"]) == (len(near), told())


def test_what_was_drawn_beside_a_child_is_drawn_again(house: House) -> None:
    """It was cancelled when its parent had ended, so that the fork starts one of its own."""
    run_id = house.enqueue(left_behind)
    house.take(run_id)
    assert "completed" == run_row(house.journal, run_id).status
    done.clear()

    copy = forked(house, run_id)
    house.take(copy)

    assert ("completed", []) == (run_row(house.journal, copy).status, told())


def test_time_that_is_over_is_told_where_it_is_waited_for(house: House) -> None:
    """Nothing that lies between is undone with the saga, nor drawn anew; of the very run, its code unchanged."""
    broken.add("flight")
    house.hooks.on(RunParked, lambda _: broken.clear())
    run_id = house.enqueue(workflow(name="again-undone-after", retry=Retry.fixed(2, 0.001))(undone_after))

    assert "completed" == ended(house, run_id)

    near, *others = told()
    assert near.startswith("near")
    assert ["hotel", "flight", "-hotel", "hotel", "flight"] == others


def test_expectation_that_is_put_aside_takes_no_other_one_s_place(house: House) -> None:
    """The retry expects the quick one anew, with its time; the slow one keeps its place, and its event."""
    run_id = house.enqueue(two_words)
    assert "awaiting_event" == ended(house, run_id)
    expectations = [step for step in house.journal.views.steps(run_id) if step.kind == "event"]
    assert [True, False, True] == [step.due_at is not None for step in expectations]

    woken = house.journal.inbox.send(run_id, word.name, '"here"', None).woken
    assert woken is not None
    house.publish([woken])

    assert ("completed", '"here"') == (ended(house, run_id), run_row(house.journal, run_id).output)


def test_saga_that_begins_after_something_was_done_again_draws_anew(house: House) -> None:
    """What was drawn in the block is another one in each round; what was drawn before it, never."""
    broken.update({"far", "flight"})
    run_id = house.enqueue(late)
    assert "failed" == ended(house, run_id)
    broken.discard("far")
    for _ in range(2):
        house.publish([house.journal.second_chances.retry(run_id)])  # type: ignore[list-item]
        assert "failed" == ended(house, run_id)
    assert "completed" == retried(house, run_id)
    assert 1 == len({what for what in told() if what.startswith("near")})
    assert 3 == len({key for key, _ in drawn})


def test_forks_of_what_was_undone_draw_for_themselves(house: House) -> None:
    """Each books anew, and so does the run itself when it is retried: none may take another's for its own."""
    broken.add("flight")
    run_id = house.enqueue(late)
    assert "failed" == ended(house, run_id)
    broken.clear()
    copies = [forked(house, run_id), forked(house, run_id)]
    for copy in copies:
        assert "completed" == ended(house, copy)
    assert "completed" == retried(house, run_id)
    again = forked(house, run_id)
    assert "completed" == ended(house, again)

    by_round = list(dict.fromkeys(drawn))
    assert [run_id, *copies, run_id] == [maker for _, maker in by_round]
    assert 4 == len({key for key, _ in by_round})
