"""Each rule of the house finds what breaks it, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.architecture import rules


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A small package that breaks no rule."""
    package = tmp_path / "shop"
    write(package / "__init__.py", "from shop.orders.total import total\n")
    write(package / "README.md", "# shop\n")
    write(package / "orders/__init__.py", "")
    write(package / "orders/total.py", "import shop.orders\nfrom shop import orders\n")
    write(package / "orders/README.md", "# orders\n")
    write(package / "orders/templates/page.html", "")
    return package


def write(path: Path, text: str) -> None:
    """Writes a file and makes its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_good_package_breaks_no_rule(package: Path) -> None:
    """Folders without modules need no README, `from package import module` is fine."""
    assert [] == rules.folders_without_readme(package)
    assert [] == rules.long_readmes(package)
    assert [] == rules.stray_names(package)
    assert [] == rules.long_files(package, {})
    assert [] == rules.imports_from_root(package)


def test_folders_without_readme_are_found(package: Path) -> None:
    """A folder with a module needs one, the folder of Alembic's revisions does not."""
    write(package / "stock/count.py", "")
    write(package / "migrations/README.md", "# migrations\n")
    write(package / "migrations/env.py", "")
    write(package / "migrations/versions/0001.py", "")
    assert [str(package / "stock")] == rules.folders_without_readme(package)


def test_long_readmes_are_found(package: Path) -> None:
    """Ten lines are fine, eleven are not."""
    write(package / "README.md", "line\n" * 10)
    write(package / "orders/README.md", "line\n" * 11)
    assert [f"{package / 'orders/README.md'}: 11 lines"] == rules.long_readmes(package)


def test_stray_names_are_found(package: Path) -> None:
    """Modules and folders alike."""
    write(package / "orders/utils.py", "")
    write(package / "core/price.py", "")
    assert [str(package / "core"), str(package / "orders/utils.py")] == rules.stray_names(package)


def test_long_files_are_found(package: Path) -> None:
    """A long file needs a reason, and a reason needs a long file."""
    write(package / "orders/total.py", "x = 1\n" * 251)
    assert ["orders/total.py: 251 lines"] == rules.long_files(package, {})
    assert [] == rules.long_files(package, {"orders/total.py": "one table"})
    write(package / "orders/total.py", "x = 1\n" * 250)
    assert ["orders/total.py: need not be allowed"] == rules.long_files(
        package, {"orders/total.py": "one table"}
    )


def test_imports_from_the_root_are_found(package: Path) -> None:
    """By name, or of the package itself."""
    write(package / "orders/total.py", "from shop import orders, total\n")
    write(package / "orders/ship.py", "import shop\n")
    assert ["orders/ship.py:1", "orders/total.py:1"] == rules.imports_from_root(package)


@pytest.mark.parametrize(
    ("exports", "unsorted"),
    [
        ('["a", "B", "c"]', []),
        ('["b", "a"]', ["a"]),
        ('["a", "a"]', ["a"]),
        ('[\n    # one\n    "b",\n    # two\n    "a",\n    "c",\n]', []),
        ('[\n    "b",\n\n    "a",\n]', []),
        ('[\n    # one\n    "b",\n    "a",\n]', ["a"]),
    ],
)
def test_unsorted_exports_are_found(exports: str, unsorted: list[str]) -> None:
    """Names are sorted within a group, regardless of case."""
    assert unsorted == rules.unsorted_exports(f"x = 1\n__all__ = {exports}\n")
