"""A newcomer finds the room for a change from the folders alone: each says in a few lines what is in it."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from tests.architecture import rules

REPOSITORY = Path(__file__).resolve().parents[2]
TOPS = ("aiki_celery", "benchmarks", "docs", "examples", "tests")


@pytest.mark.parametrize("top", TOPS)
def test_every_folder_has_a_readme(top: str) -> None:
    """Folders with modules, and the top folders themselves."""
    assert [] == rules.folders_without_readme(REPOSITORY / top)


@pytest.mark.parametrize("top", TOPS)
def test_no_readme_is_longer_than_ten_lines(top: str) -> None:
    """What is here, and what must never be."""
    assert [] == rules.long_readmes(REPOSITORY / top)


def test_no_module_has_a_name_that_says_nothing() -> None:
    """No utils, base, core, helpers or common anywhere."""
    assert [] == list(itertools.chain.from_iterable(rules.stray_names(REPOSITORY / top) for top in TOPS))
