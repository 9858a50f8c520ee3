"""One idea, one file; and nobody inside comes in through the front door."""

from __future__ import annotations

from pathlib import Path

from tests.architecture import rules

PACKAGE = Path(__file__).resolve().parents[2] / "aiki_celery"

# Path below the package -> why that file is one idea although it is long.
LONGER_FILES: dict[str, str] = {
    "errors.py": "the tree of errors is read as one",
    "model/events.py": "the list of what a hook can hear of is read as one",
}


def test_no_file_is_longer_than_250_lines() -> None:
    """Unless it says here why."""
    assert [] == rules.long_files(PACKAGE, LONGER_FILES)


def test_nobody_inside_imports_from_the_package_root() -> None:
    """The public names are for users; inside, a module is imported from where it is."""
    assert [] == rules.imports_from_root(PACKAGE)
