"""The run that a workflow is given and hands on: what is said where it is forgotten."""

from __future__ import annotations

from typing import Any

import pytest

from aiki_celery import DefinitionInvalid, InputInvalid, WorkflowRun, task, workflow


@task(name="given-run-step")
def step(order: str) -> str:
    return order


@workflow(name="given-run-child")
def child(run: WorkflowRun, order: str) -> str:
    return order


@pytest.mark.parametrize("call", [step.run, step.start, child.run, child.start])
def test_call_without_the_run_is_refused(call: Any) -> None:
    """By what stands in its place, and the name of what was called."""
    with pytest.raises(InputInvalid, match=r"argument 'run': the first argument must be .* run, not 'A-1'"):
        call("A-1")


@pytest.mark.parametrize("annotation", [str, "str", "dict"])
def test_workflow_that_begins_with_its_input_is_refused(annotation: Any) -> None:
    """It would be called with the run in the input's place. Annotations may be kept as text."""

    def body(order): ...  # type: ignore[no-untyped-def]

    body.__annotations__ = {"order": annotation}
    with pytest.raises(DefinitionInvalid, match="'given-run-none': its first parameter must be the run"):
        workflow(name="given-run-none")(body)


def test_task_that_takes_a_run_is_refused() -> None:
    """In words for users of this package, not of pydantic."""

    def body(run: WorkflowRun) -> None: ...

    with pytest.raises(DefinitionInvalid, match="The run is the first parameter of a workflow") as refused:
        task(name="given-run-task")(body)
    assert "model_config" not in str(refused.value)
