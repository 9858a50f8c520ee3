"""An async def that hides: behind a plain function, or in an object. Each is refused with what to do instead."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from aiki_celery.definitions.task import task
from aiki_celery.definitions.workflow import workflow
from aiki_celery.errors import DefinitionInvalid, NotJournalable


async def coroutine(run: Any) -> int:
    """What hides."""
    return 7


def wrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    """Looks like the function, and is none of its kind."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


class AsyncCall:
    """An object that is called as a coroutine function."""

    async def __call__(self, run: Any) -> int:
        """Gives a number."""
        return 7


class PlainCall:
    """An object that is called as a function."""

    def __call__(self, run: Any) -> int:
        """Gives a number."""
        return 7


REFUSED: dict[str, tuple[Any, str]] = {
    "wrapped workflow": (lambda: workflow(name="w")(wrapped(coroutine)), "'w' is an async def.*as def"),
    "workflow wrapped twice": (lambda: workflow(name="w")(wrapped(wrapped(coroutine))), "is an async def"),
    "workflow of an async object": (lambda: workflow(name="w")(AsyncCall()), "'w' is an async def.*as def"),
    "workflow of an object": (lambda: workflow(name="w")(PlainCall()), "is an object.*Write a function"),
    "task of an async object": (lambda: task(name="t")(AsyncCall()), "'t'.*is an object.*Write a function"),
    "task of an object": (lambda: task(name="t")(PlainCall()), "'t'.*is an object.*Write a function"),
    "task of a partial": (lambda: task(name="t")(functools.partial(coroutine)), "'t'.*is an object"),
}


@pytest.mark.parametrize(("define", "message"), REFUSED.values(), ids=REFUSED)
def test_hidden_async_def_is_refused(define: Any, message: str) -> None:
    """When it is defined, and not when it is run."""
    with pytest.raises(DefinitionInvalid, match=message):
        define()


def test_object_that_is_wrapped_as_a_function_is_taken() -> None:
    """What gives the types of its parameters can be a workflow or a task, whatever it is made of."""
    cached = functools.lru_cache(lambda run: 7)
    assert [7, 7] == [workflow(name="w-cached")(cached).function(None), task(name="t-cached")(cached)(None)]


def test_task_may_be_a_plain_function_around_a_coroutine_function() -> None:
    """Not refused: it may run that to its end, as asgiref's async_to_sync does. What it only gives back is awaited."""

    @task(name="t-runs-it")
    @functools.wraps(coroutine)
    def runs_it(run: Any) -> int:
        return asyncio.run(coroutine(run))

    assert ("7", 7) == runs_it.signature.write_result(runs_it(None))


def made(found: list[Coroutine[Any, Any, int]]) -> Callable[[Any], Any]:
    """A plain function that gives coroutines, and keeps them."""

    def gives(run: Any) -> Any:
        found.append(coroutine(run))
        return found[-1]

    return gives


@pytest.mark.parametrize("define", [workflow, task])
def test_coroutine_as_a_result_says_that_it_is_one(define: Any) -> None:
    """With what to do, not that it should be annotated; and it is closed, so that Python does not complain."""
    found: list[Coroutine[Any, Any, int]] = []
    definition = define(name="gives-a-coroutine")(made(found))
    with pytest.raises(
        NotJournalable, match=r"gives-a-coroutine: the result .* nobody has awaited.*written as def"
    ):
        definition.signature.write_result(definition.function(None))
    assert inspect.CORO_CLOSED == inspect.getcoroutinestate(found[0])
