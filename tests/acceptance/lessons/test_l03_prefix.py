"""L3: two branches at once; a worker dies when only the later one's result is recorded: unchanged code goes on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.acceptance.conftest import Lab
from tests.acceptance.lessons.conftest import APP
from tests.acceptance.lessons.siblings import two_branches
from tests.harness.eventually import eventually
from tests.harness.invariants import Run, read_runs


def test_result_of_the_later_branch_alone_does_not_diverge(
    lab: Lab, tmp_path: Path, at_rest: Callable[..., object]
) -> None:
    """SIGKILL to the whole worker in the earlier branch; the later one is not run again."""
    gate = tmp_path / "gate"
    worker = lab.start_worker(APP, concurrency=2)
    handle = two_branches.enqueue(str(gate))

    def only_the_later() -> dict[str, Run]:
        runs = {run.row["workflow"]: run for run in read_runs(lab.journal)}
        states = {name: run.row["status"] for name, run in runs.items()}
        assert ("running", "completed") == (states.get("lesson-gated"), states.get("lesson-beside"))
        return runs

    runs = eventually(only_the_later, 15, "the later branch's result alone")
    # What is recorded is a prefix all the same: both starts, in the order of the code.
    record = runs["lesson-two-branches"].steps
    assert [(1, "lesson-gated"), (2, "lesson-beside")] == [(step["seq"], step["name"]) for step in record]
    worker.kill_group()
    gate.touch()
    lab.start_worker(APP, concurrency=2)

    assert [1, 2] == handle.get(timeout=20)
    assert (2, 1, 2) == (
        lab.effects.count("gated"),
        lab.effects.count("beside"),
        lab.effects.count("pass", run=handle.id),
    )
    at_rest(lab, crashes=1, earlier=list(runs.values()))
