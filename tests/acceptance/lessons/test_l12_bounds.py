"""L12: a list that stops says so; a long record is read whole, and once in a pass however often that waits."""

from __future__ import annotations

import re

from click.testing import CliRunner

from aiki_celery import RunStatus, WorkflowRun, task, workflow
from aiki_celery.cli import aiki as command
from aiki_celery.engine.ports import Forever
from aiki_celery.model.records import StepRecord
from aiki_celery.model.status import StepKind, StepStatus
from tests.acceptance.conftest import Lab
from tests.contract.counting import counting

#: What other systems silently stop at is a tenth of that.
MANY = 100_000
#: It sleeps once in so many acts.
NAP = 1000


@task(name="lesson-tally")
def tally(number: int) -> int:
    return number


@workflow(name="lesson-long")
def long(run: WorkflowRun, steps: int) -> int:
    """Sleeps on the way, and at the end it does one thing more."""
    total = 0
    for number in range(steps):
        if number % NAP == NAP - 1:
            run.sleep(1)
        else:
            total += tally.run(run, number)
    return total + tally.run(run, -1)


def shell(lab: Lab, *words: str) -> tuple[list[str], str]:
    """The lines that a command prints, and what it says beside them."""

    class Context:
        app = lab.app

    told = CliRunner().invoke(command, list(words), obj=Context())
    assert 0 == told.exit_code, told.output
    return told.stdout.splitlines(), told.stderr


def act(number: int, at: int) -> StepRecord:
    """What the so-manieth act has recorded."""
    naps = number % NAP == NAP - 1
    address = "sleep:sleep" if naps else f"{tally.name}:{tally.signature.hash({'number': number})}"
    return StepRecord(
        seq=number + 1,
        kind=StepKind.SLEEP if naps else StepKind.TASK,
        name="sleep" if naps else tally.name,
        address=address,
        status=StepStatus.WAITING if naps else StepStatus.COMPLETED,
        attempt=1,
        epoch=1,
        started_at=at,
        finished_at=at,
        value=None if naps else str(number),
        due_at=at if naps else None,
    )


def recorded(lab: Lab, run_id: str, acts: int) -> None:
    """Brings a run to where it has done so much."""
    binding = lab.aiki.binding
    taken = binding.executor.claim(run_id, binding.process.owner())
    assert taken is not None
    steps = [act(number, taken[0].now) for number in range(acts)]
    rows = [
        step._asdict() | {"run_id": run_id, "kind": step.kind.value, "status": step.status.value}
        for step in steps
    ]
    with lab.aiki.journal.connections.transaction() as connection:
        connection.execute(lab.aiki.journal.schema.steps.insert(), rows)
    binding.executor.give_back(taken[0], "for the test")


def test_record_of_a_hundred_thousand_steps_is_read_whole_and_once(embedded_lab: Lab) -> None:
    """The pass asks for its record by one statement; what people are shown of it is all of it."""
    binding = embedded_lab.aiki.binding
    handle = long.enqueue(MANY - 1)
    recorded(embedded_lab, handle.id, MANY - 1)
    with counting(binding.journal) as counted:
        taken = binding.executor.claim(handle.id, binding.process.owner())
        assert taken is not None
        outcome = binding.executor.run(long, *taken, Forever(), told=True)
    assert (RunStatus.COMPLETED, MANY - 1) == (outcome.status, len(taken[1]))
    naps = range(NAP - 1, MANY - 1, NAP)
    assert sum(range(MANY - 1)) - sum(naps) - 1 == handle.get(timeout=1)
    reads = [
        statement for statement in counted.statements if "aiki_steps" in statement.partition(" WHERE")[0]
    ]
    assert ["INSERT", "SELECT"] == sorted(statement.split()[0] for statement in reads)

    assert MANY == len(embedded_lab.aiki.journal.views.steps(handle.id))
    lines, _ = shell(embedded_lab, "run", "show", handle.id)
    assert MANY == sum(bool(re.match(r" +\d+  \+", line)) for line in lines)


def test_list_of_runs_says_where_it_stops(embedded_lab: Lab) -> None:
    """And shows as many as it is asked for."""
    long.enqueue_many([(0,)] * 60)
    lines, said = shell(embedded_lab, "run", "list")
    assert (50, True) == (len(lines), "These are the newest 50; there are more" in said)
    lines, said = shell(embedded_lab, "run", "list", "--limit", "60")
    assert (60, "") == (len(lines), said)
    lines, said = shell(embedded_lab, "run", "list", "--limit", "20000", "--json")
    assert (60, "") == (len(lines), said)
