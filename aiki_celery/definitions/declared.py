"""Options that tasks and workflows have in common: checked when they are defined, and told with whose they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiki_celery.definitions.options import check_queue
from aiki_celery.definitions.retry import Retry
from aiki_celery.errors import DefinitionInvalid, InputInvalid


def declared_queue(kind: str, name: str, queue: str | None) -> str | None:
    """Give the queue of a definition.

    Args:
        kind: ``task`` or ``workflow``.
        name: Its name.
        queue: What was given.

    Raises:
        DefinitionInvalid: It cannot be one.
    """
    try:
        return None if queue is None else check_queue(name, queue)
    except InputInvalid as error:
        raise DefinitionInvalid(f"{kind} {name!r}: {error.argument}= {error.detail}") from None


def declared_retry(kind: str, name: str, policy: Retry | Mapping[str, Any] | None) -> Retry:
    """Give the retry policy of a definition; the first arguments are those of :func:`declared_queue`.

    Raises:
        DefinitionInvalid: It is none.
    """
    try:
        return Retry.parse(policy)
    except DefinitionInvalid as error:
        raise DefinitionInvalid(f"{kind} {name!r}: {error}") from error.__cause__
