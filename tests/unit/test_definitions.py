"""What may be a task or a workflow, and what is refused when the module is imported."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timezone
from typing import Any

import pytest

from aiki_celery.definitions.current import current_step
from aiki_celery.definitions.event import event
from aiki_celery.definitions.naming import version_key
from aiki_celery.definitions.registry import Registry
from aiki_celery.definitions.task import AsyncTask, task
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


async def async_generator(run: Any) -> AsyncIterator[int]:
    """An async generator."""
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
    "async workflow that yields": (lambda: workflow(name="w")(async_generator), "'w' is a generator"),
    "async task that yields": (lambda: task(name="t")(async_generator), "'t' is a generator"),
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
    "name of letters from elsewhere": (lambda: task(name="größe")(plain), "ASCII letters"),
    "bad retry": (lambda: task(name="t", retry={"type": "x"})(plain), "task 't': retry policy"),
    "no retry": (lambda: task(name="t", retry=3)(plain), "task 't': retry= must be a policy"),  # type: ignore[arg-type]
    "bad retry of a workflow": (
        lambda: workflow(name="w", retry={"type": "x"})(of_a_run),
        "workflow 'w': retry policy",
    ),
    "queue of a workflow": (lambda: workflow(name="w", queue=5)(of_a_run), "workflow 'w': queue= must be"),  # type: ignore[arg-type]
    "empty queue": (lambda: workflow(name="w", queue="")(of_a_run), "workflow 'w': queue= must be"),
    "long queue": (lambda: workflow(name="w", queue="q" * 300)(of_a_run), "workflow 'w': queue= must be"),
    "queue of a task": (lambda: task(name="t", queue="")(plain), "task 't': queue= must be"),
    "input key of no function": (
        lambda: task(name="t", input_key="url")(plain),  # type: ignore[call-overload]
        "task 't': input_key= must be a function",
    ),
    "event of a type without a schema": (
        lambda: event("e", range),
        r"event 'e': its type <class 'range'> has no schema: [^\n]*plain data\.\Z",
    ),
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
        ({"priority": True}, "priority"),
        ({"queue": 3}, "queue"),
        ({"tags": "vip"}, "tags"),
        ({"tags": 3}, "tags"),
    ],
)
def test_start_options_are_checked(options: dict[str, Any], argument: str) -> None:
    """A bad option is refused where it is set, by its name."""
    definition = workflow(name="options-checked")(of_a_run)
    with pytest.raises(InputInvalid) as caught:
        definition.options(**options)
    assert ("options-checked", argument) == (caught.value.definition, caught.value.argument)


def test_a_moment_that_is_none_says_what_is_expected() -> None:
    """Text is none, however well it is written."""
    definition = workflow(name="moment-checked")(of_a_run)
    with pytest.raises(InputInvalid, match="'2030-01-01' is no datetime; use one such as"):
        definition.options(eta="2030-01-01")  # type: ignore[arg-type]


@pytest.mark.parametrize("retry", [{"type": "x"}, 3])
def test_step_options_name_task_and_option(retry: Any) -> None:
    """Of a retry policy as well."""
    definition = task(name="step-options-checked")(plain)
    with pytest.raises(InputInvalid, match=r"^step-options-checked: argument 'retry': retry"):
        definition.options(retry=retry)


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


def test_async_task_is_a_plain_coroutine_function_call() -> None:
    """Called, it gives the coroutine; its options keep its kind."""
    greet = task(name="greet-async")(coroutine)
    assert asyncio.run(greet()) is None
    assert isinstance(greet.options(key="k"), AsyncTask)


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


class Subscriber:
    """Writes down the versions that it is told of."""

    def __init__(self, seen: list[str]) -> None:
        self._seen = seen

    def hear(self, definition: Any) -> None:
        self._seen.append(definition.version)


def test_registry_tells_subscribers_of_old_and_new() -> None:
    """Who subscribes late has missed nothing."""
    registry, seen = Registry(), list[str]()
    versions(registry, "1")
    subscriber = Subscriber(seen)
    registry.subscribe(subscriber.hear)
    versions(registry, "2")
    assert ["1", "2"] == seen


def test_registry_keeps_no_subscriber() -> None:
    """Who has gone is told nothing, and is not kept for that."""
    registry, seen = Registry(), list[str]()
    subscriber = Subscriber(seen)
    registry.subscribe(subscriber.hear)
    del subscriber
    gc.collect()
    versions(registry, "1")
    assert [] == seen


@pytest.mark.parametrize("name", ["delay", "apply_async", "s"])
def test_celerys_own_verbs_on_a_task_say_what_to_do(name: str) -> None:
    @task(name="unit-no-celery-task")
    def no_celery_task() -> None: ...

    with pytest.raises(AttributeError, match=r"'unit-no-celery-task' is a task of workflows .* \.run\(run"):
        getattr(no_celery_task, name)


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ({"reference_id": "A-1"}, "reference_id"),
        ({"delay": 1.0}, "delay"),
        ({"eta": datetime(2030, 1, 1, tzinfo=timezone.utc)}, "eta"),
        ({"queue": "express"}, "queue"),
        ({"priority": 3}, "priority"),
        ({"tags": ["vip"]}, "tags"),
        ({"deadline": 60.0}, "deadline"),
        ({"deadline": datetime(2030, 1, 1, tzinfo=timezone.utc)}, "deadline"),
    ],
)
@pytest.mark.parametrize("call", ["delay", "apply_async", "apply", "s", "si"])
def test_celerys_own_calls_refuse_what_they_cannot_carry(
    call: str, options: dict[str, Any], shown: str
) -> None:
    """Nothing that was set is passed over without a word."""

    @workflow(name="unit-carried")
    def carried(run: Any) -> None: ...

    with pytest.raises(
        InputInvalid, match=rf"unit-carried: argument '{shown}': .*it is for enqueue and start"
    ):
        getattr(carried.options(**options), call)()
