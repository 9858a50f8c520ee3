"""The reference is what the code says, and links lead somewhere."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from aiki_celery import errors
from aiki_celery.settings import NAMES, AikiSettings
from tests.docs.pages import REPOSITORY, anchors_of, documented, links_of, name_of

REFERENCE = REPOSITORY / "docs" / "reference"


def test_settings_page_is_the_class() -> None:
    """Every setting, in order, with its default."""
    rows = re.findall(r"^\| `aiki_(\w+)` \| (.+?) \|", (REFERENCE / "settings.md").read_text(), re.MULTILINE)
    defaults = [field.default for field in AikiSettings.model_fields.values()]
    assert [(name, _shown(default)) for name, default in zip(NAMES, defaults, strict=True)] == rows


def _shown(default: object) -> str:
    if default is None:
        return "none"
    if isinstance(default, float):
        return f"`{default:g}`"
    return f"`{default}`"


def test_errors_page_is_the_tree() -> None:
    """Every class, below its parent."""
    classes = [
        kind for _, kind in inspect.getmembers(errors, inspect.isclass) if kind.__module__ == errors.__name__
    ]
    expected = {(kind.__name__, kind.__mro__[1].__name__) for kind in classes}
    tree = (REFERENCE / "errors.md").read_text().partition("```text\n")[2].partition("```")[0]
    found: set[tuple[str, str]] = set()
    above: list[str] = []
    for branches, name in re.findall(r"^([│ ├└─]*)(\w+)", tree, re.MULTILINE):
        level = len(branches) // 4
        above[level:] = [name]
        if level:
            found.add((name, above[level - 1]))
    found |= {("AikiError", "Exception")}
    assert expected == found


@pytest.mark.parametrize("page", documented(), ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    """Files that exist, headings that exist."""
    broken = []
    for link in links_of(page):
        if "://" in link:
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        if not target.exists() or (anchor and anchor not in anchors_of(target)):
            broken.append(link)
    assert [] == broken


@pytest.mark.parametrize("page", documented(), ids=name_of)
def test_files_a_page_names_exist(page: Path) -> None:
    """Paths of this repository in backticks."""
    named = re.findall(r"`((?:aiki_celery|tests|docs|examples|benchmarks)/[\w./*-]+)`", page.read_text())
    assert [] == [path for path in named if not list(REPOSITORY.glob(path))]


@pytest.mark.parametrize("page", documented(), ids=name_of)
def test_tests_a_page_names_exist(page: Path) -> None:
    """Tests that are said to show something."""
    named = set(re.findall(r"`(test_\w+)`", page.read_text()))
    defined = {
        name
        for file in (REPOSITORY / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", file.read_text(), re.MULTILINE)
    }
    assert set() == {name for name in named if name not in defined}
