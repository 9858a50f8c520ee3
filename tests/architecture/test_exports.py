"""The public names: all there, grouped, and each in its place."""

from __future__ import annotations

from pathlib import Path

import aiki_celery
from tests.architecture import rules


def test_every_public_name_can_be_imported() -> None:
    """`__all__` promises nothing that is missing."""
    assert [] == [name for name in aiki_celery.__all__ if not hasattr(aiki_celery, name)]


def test_no_public_name_is_private() -> None:
    """An underscore and a promise do not go together."""
    assert [] == [name for name in aiki_celery.__all__ if name.startswith("_") and name != "__version__"]


def test_public_names_are_sorted_within_their_groups() -> None:
    """A comment or an empty line in `__all__` begins a group."""
    assert aiki_celery.__file__ is not None
    assert [] == rules.unsorted_exports(Path(aiki_celery.__file__).read_text())


def test_the_package_is_typed() -> None:
    """`py.typed` ships, so that users' editors see the types."""
    assert (Path(aiki_celery.__file__ or "").parent / "py.typed").is_file()
