"""A function's parameters: calls matched to names and back, and the hash of a call."""

from __future__ import annotations

import inspect
import operator
import types as python_types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from aiki_celery.errors import InputInvalid, NotJournalable
from aiki_celery.model.canonical import encode, hash_encoded, is_default

_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class Parameters:
    """The parameters of a function, but for those that belong to the framework.

    Args:
        function: The user's function.
        name: Name of the definition, for messages.
        skip: How many leading parameters belong to the framework.
    """

    def __init__(self, function: Callable[..., Any], name: str, skip: int = 0) -> None:
        self._name = name
        self._parameters = list(inspect.signature(function).parameters.values())[skip:]
        self._signature = inspect.Signature(self._parameters)
        self._hashed = sorted(
            (
                (parameter.name, encode(parameter.name), _left_out(parameter))
                for parameter in self._parameters
            ),
            key=lambda hashed: hashed[1],
        )
        self._positional = _all_positional(self._parameters)
        self._required = sum(parameter.default is inspect.Parameter.empty for parameter in self._parameters)

    def annotations(self, hints: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        """Give each parameter's name with its annotation, as a list or map for ``*args`` and ``**kwargs``."""
        for parameter in self._parameters:
            yield parameter.name, _annotation(parameter, hints)

    def match(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
        """Give a call's arguments, each with its name.

        Raises:
            InputInvalid: They do not fit the parameters.
        """
        if not kwargs and self._required <= len(args) <= len(self._positional):
            return zip(self._positional, args)  # noqa: B905 - those left out have defaults
        try:
            return self._signature.bind(*args, **kwargs).arguments.items()
        except TypeError as error:
            raise InputInvalid(
                self._name, "", f"{error}; the signature is {self._name}{self._signature}"
            ) from None

    def call_form(self, values: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Turn arguments by name into positional and keyword arguments for the call."""
        if len(values) == len(self._positional):
            return tuple([values[name] for name in self._positional]), {}
        positional: list[Any] = []
        keywords: dict[str, Any] = {}
        by_position = True
        for parameter in self._parameters:
            if parameter.name not in values:
                by_position = by_position and parameter.kind in _VARIADIC
            elif parameter.kind is inspect.Parameter.VAR_POSITIONAL:
                positional.extend(values[parameter.name])
            elif parameter.kind is inspect.Parameter.VAR_KEYWORD:
                keywords.update(values[parameter.name])
            elif by_position and parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
                positional.append(values[parameter.name])
            else:
                keywords[parameter.name] = values[parameter.name]
        return tuple(positional), keywords

    def hash(self, values: Mapping[str, Any]) -> str:
        """Hash arguments canonically, those equal to their default left out.

        Raises:
            NotJournalable: An argument has no canonical form.
        """
        content = b""
        try:
            for name, key, left_out in self._hashed:
                if name in values:
                    value = values[name]
                    if left_out is None or not left_out(value):
                        content += key + encode(value)
        except TypeError as error:
            raise NotJournalable(self._name, name, str(error)) from error
        except RecursionError:
            raise NotJournalable(self._name, name, "it contains itself, or is nested too deeply") from None
        return hash_encoded(content)


def _annotation(parameter: inspect.Parameter, hints: Mapping[str, Any]) -> Any:
    annotation = hints.get(parameter.name, inspect.Parameter.empty)
    if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
        return (
            list if annotation is inspect.Parameter.empty else python_types.GenericAlias(list, (annotation,))
        )
    if parameter.kind is inspect.Parameter.VAR_KEYWORD:
        return (
            dict[str, Any]
            if annotation is inspect.Parameter.empty
            else python_types.GenericAlias(dict, (str, annotation))
        )
    return annotation


def _left_out(parameter: inspect.Parameter) -> Callable[[Any], bool] | None:
    """Give a function that tells whether a value is left out of the hash, or None where every value counts."""
    if parameter.kind in _VARIADIC:
        return operator.not_
    if parameter.default is inspect.Parameter.empty:
        return None
    return lambda value: is_default(value, parameter.default)


def _all_positional(parameters: Sequence[inspect.Parameter]) -> list[str]:
    """Give the parameters' names if all can be given by position, which binds without much ado; else none."""
    simple = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [parameter.name for parameter in parameters] if all(p.kind in simple for p in parameters) else []
