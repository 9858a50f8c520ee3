"""The run that a workflow is given and hands on: at its definition, and in each call."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from aiki_celery.errors import DefinitionInvalid, InputInvalid

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
#: What people annotate a workflow's input with; the annotation of a run is another one, or none.
_INPUTS = (str, int, float, bool, bytes, list, dict, set, tuple)
#: The same where annotations are kept as text.
_NAMES_OF_INPUTS = tuple(kind.__name__ for kind in _INPUTS)


def check_run_parameter(workflow: str, body: Callable[..., Any]) -> None:
    """Refuse a workflow that leaves no place for its run.

    Raises:
        DefinitionInvalid: Its first parameter is missing, or is one of its input.
    """
    first = next(iter(inspect.signature(body).parameters.values()), None)
    if first is None or first.kind not in _POSITIONAL or first.annotation in (*_INPUTS, *_NAMES_OF_INPUTS):
        raise DefinitionInvalid(
            f"workflow {workflow!r}: its first parameter must be the run: def f(run: WorkflowRun)"
        )


def method_of(run: Any, method: str, name: str) -> Any:
    """Give a method of the run that a step or a child is called with.

    Raises:
        InputInvalid: What was given first is no run.
    """
    try:
        return getattr(run, method)
    except AttributeError:
        raise InputInvalid(
            name, "run", f"the first argument must be the workflow's run, not {run!r:.60}"
        ) from None
