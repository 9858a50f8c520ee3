"""What may be a task or a workflow, and what is refused when the module is imported."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from aiki_celery.definitions.current import current_step
from aiki_celery.definitions.naming import version_key
from aiki_celery.definitions.registry import Registry
from aiki_celery.definitions.task import task
from aiki_celery.definitions.workflow import workflow
from aiki_celery.errors import DefinitionInvalid, InputInvalid, NotInitialized


def plain() -> None:
    """A function."""


async def coroutine() -> None:
    """An async def."""


async def coroutine_of_a_run(run: Any) -> None:
    """An async def that takes a run."""


def generator(run: Any) -> Iterator[int]:
    """A generator."""
    yield 1


def of_a_run(run: Any, name: str = "") -> str:
    """A workflow's function."""
    return name


REFUSED: dict[str, tuple[Any, str]] = {
    "async workflow": (
        lambda: workflow(name="w")(coroutine_of_a_run),
        "async def.*replayed.*write it as def",
    ),
    "workflow that yields": (lambda: workflow(name="w")(generator), "'w' is a generator"),
    "task that yields": (lambda: task(name="t")(generator), "'t' is a generator"),
    "workflow without a run": (lambda: workflow(name="w")(plain), "first parameter must be the run"),
    "workflow of no function": (lambda: workflow(name="w")(3), "3 is not a function"),
    "empty name": (lambda: task(name="@")(plain), "task name '@'"),
    "name with a version": (
        lambda: workflow(name="w@1")(of_a_run),
        "workflow name 'w@1'.*separates the version",
    ),
    "long name": (lambda: task(name="t" * 101)(plain), "1 to 100"),
    "name that ends in a space": (lambda: task(name="t ")(plain), "task name 't '"),
    "bad version": (lambda: workflow(name="w", version="one two")(of_a_run), "version 'one two'"),
    "bad retry": (lambda: task(name="t", retry={"type": "x"})(plain), "retry policy"),
    "raises of no exceptions": (
        lambda: task(name="t", raises=["E"])(plain),
        "raises= must hold exception types",
    ),
    "at most once and again": (
        lambda: task(name="t", at_most_once=True, retry={"type": "fixed", "max_attempts": 2, "delay": 1})(
            plain
        ),
        "at_most_once and retry exclude each other",
    ),
}


@pytest.mark.parametrize(("define", "message"), REFUSED.values(), ids=REFUSED)
def test_definition_is_refused_with_the_reason(define: Any, message: str) -> None:
    """What cannot work is refused at once, by name, with what to do instead."""
    with pytest.raises(DefinitionInvalid, match=message):
        define()


@pytest.mark.parametrize(
    ("options", "argument"),
    [
        ({"reference_id": ""}, "reference_id"),
        ({"reference_id": "r" * 201}, "reference_id"),
        ({"reference_id": "two\nlines"}, "reference_id"),
        ({"reference_id": "r "}, "reference_id"),
        ({"on_conflict": "ignore"}, "on_conflict"),
        ({"delay": -1}, "delay"),
        ({"eta": "tomorrow"}, "eta"),
        ({"priority": 256}, "priority"),
        ({"queue": 3}, "queue"),
    ],
)
def test_start_options_are_checked(options: dict[str, Any], argument: str) -> None:
    """A bad option is refused where it is set, by its name."""
    definition = workflow(name="options-checked")(of_a_run)
    with pytest.raises(InputInvalid) as caught:
        definition.options(**options)
    assert ("options-checked", argument) == (caught.value.definition, caught.value.argument)


def test_options_give_a_copy() -> None:
    """`options` changes nothing but the copy."""
    definition = workflow(name="options-copied")(of_a_run)
    copy = definition.options(reference_id="r").options(delay=5)
    assert (None, "r", 5.0) == (
        definition._options.reference_id,
        copy._options.reference_id,
        copy._options.delay,
    )


def test_task_is_a_plain_function_call() -> None:
    """Called, a task is its function: no journal, no current step."""
    double = task(name="double")(lambda number: number * 2)
    assert 42 == double(21)
    with pytest.raises(NotInitialized, match="current_step"):
        current_step()


def test_version_order_is_that_of_numbers() -> None:
    """10 comes after 9, a release after its candidates, a longer version after its beginning."""
    ordered = ["0.9", "1.0.0a1", "1.0.0rc1", "1.0.0rc2", "1.0.0", "1.0.1", "1.9.0", "1.10.0", "2", "10.0"]
    assert ordered == sorted(ordered[::2] + ordered[1::2], key=version_key)


def versions(registry: Registry, *names: str) -> None:
    """Registers versions of one workflow."""
    for name in names:
        registry.add_workflow(workflow(name="by-version", version=name)(of_a_run))


def test_registry_latest_is_the_highest_version() -> None:
    """The bare name means the highest version, in whatever order they were registered."""
    registry = Registry()
    versions(registry, "1.9.0", "1.10.0", "1.2.0", "1.10.0rc1")
    latest = registry.latest("by-version")
    assert latest is not None
    assert ("1.10.0", None, None) == (
        latest.version,
        registry.latest("other"),
        registry.workflow("by-version", "3"),
    )


def test_registry_refuses_two_functions_of_one_name() -> None:
    """The error names both places; the same function again, as after a reload, is fine."""
    task(name="twice-defined")(plain)
    task(name="twice-defined")(plain)
    with pytest.raises(
        DefinitionInvalid, match=r"'twice-defined' is defined twice: by .*plain and by .*of_a_run"
    ):
        task(name="twice-defined")(of_a_run)


def test_registry_tells_subscribers_of_old_and_new() -> None:
    """Who subscribes late has missed nothing."""
    registry, seen = Registry(), []
    versions(registry, "1")
    registry.subscribe(lambda definition: seen.append(definition.version))
    versions(registry, "2")
    assert ["1", "2"] == seen


@pytest.mark.parametrize("name", ["delay", "apply_async", "s"])
def test_celerys_own_verbs_on_a_task_say_what_to_do(name: str) -> None:
    @task(name="unit-no-celery-task")
    def no_celery_task() -> None: ...

    with pytest.raises(AttributeError, match=r"'unit-no-celery-task' is a task of workflows .* \.run\(run"):
        getattr(no_celery_task, name)
